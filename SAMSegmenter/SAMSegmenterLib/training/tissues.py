"""Tells the tissue of a structure from its name, so that muscles look like muscles, and vertebrae like vertebrae.

What lies beside an object is often of its own tissue; this is where masks leak.
"""

from __future__ import annotations

import re

UNKNOWN, GAS = 0, 2
# Beginnings of words. The first row that fits counts: an artery of the lung is an artery.
TISSUES = (
    "arter vein venous vena aorta vasculature vessel portal coronary",
    r"gas\b air\b trachea bronch lung sinus pharynx larynx",
    r"fat\b skin adipose",
    "cartilage disk disc menisc ligament tendon symphysis",
    "muscle gluteus psoas rectus oblique vastus biceps pectoralis levator trapezius deltoid flexor extensor rhomboid adductor",
    "bone vertebra rib femur tibia fibula skull sacrum ilium ischium pubis phalanx metatars metacarp mandible humerus scapula clavicle"
    " sternum ulna radius cervical lumbar hip patella tooth",
    "gyrus nerve nucleus thalam cord cerebell hemisphere white brain cortex colliculus",
    "bladder cyst ventricle biliary duct fluid gallbladder ureter",
    "intestine colon jejunum ileum duodenum stomach esophagus rectum bowel",
)
_ROWS = [re.compile("|".join(rf"\b{word}" for word in row.split())) for row in TISSUES]
KINDS = len(TISSUES) + 1


def tissue_of(name: str) -> int:
    """Return the tissue that a structure's name tells of, 1 to `KINDS` - 1, or `UNKNOWN`."""
    words = name.lower().replace("_", " ")
    return next((number for number, row in enumerate(_ROWS, 1) if row.search(words)), UNKNOWN)
