"""The models on this machine: found, downloaded, imported, checked and removed."""
