"""Multi-frame DICOM images are read as the slices that their frames are, or refused; nothing is guessed from the first frames."""

import shutil

import numpy as np
import pytest
from pydicom.uid import EnhancedMRImageStorage

from SAMSegmenterLib.errors import InputError
from SAMSegmenterLib.imageio import list_series, read_volume
from support.dicom_slices import enhanced, region, slice_at, spect

EVEN = [(-10, -20, 100 + 2.5 * n) for n in range(6)]
AXIAL, CORONAL = (1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, -1)


def test_a_multi_frame_image_is_a_series_of_its_own(folder_of):
    folder = folder_of(enhanced(EVEN))
    assert list_series(folder)[0].slices == 6
    for path in (folder, folder / "000.dcm"):
        volume = read_volume(path)
        assert volume.voxels[:, 0, 0].tolist() == [-1000, -900, -800, -700, -600, -500]
        assert volume.ijk_to_lps.tolist() == [[0.5, 0, 0, -10], [0, 0.75, 0, -20], [0, 0, 2.5, 100], [0, 0, 0, 1]]
        assert (volume.modality, volume.name, volume.voxels.dtype.kind) == ("CT", path.name, "i")


@pytest.mark.parametrize("order", [[5, 4, 3, 2, 1, 0], [0, 3, 1, 4, 2, 5]])
def test_frames_are_sorted_by_position(folder_of, order):
    volume = read_volume(folder_of(enhanced([EVEN[n] for n in order])))
    assert volume.voxels[:, 0, 0].tolist() == [100 * order.index(n) - 1000 for n in range(6)]
    assert volume.ijk_to_lps[:3, 2:].tolist() == [[0, -10], [0, -20], [2.5, 100]]


def test_frames_of_a_tilted_gantry_keep_their_slanted_axis(folder_of):
    volume = read_volume(folder_of(enhanced([(0, 0.4 * n, 2.0 * n) for n in range(4)])))
    assert volume.ijk_to_lps[:3, 2] == pytest.approx([0, 0.4, 2])


@pytest.mark.parametrize("kind", [None, EnhancedMRImageStorage])
@pytest.mark.parametrize("first", [(2, -1000), (0.5, 10)])
def test_every_frame_is_rescaled_by_its_own_numbers(folder_of, kind, first):
    image = enhanced(EVEN[:3], rescales=[first, (3, 1), (0.25, 0)])
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = kind or image.SOPClassUID
    volume = read_volume(folder_of(image))
    assert volume.voxels[:, 0, 0].tolist() == [first[1], 301, 50]
    assert volume.voxels.dtype == np.float32


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (enhanced(EVEN[:3] + EVEN[4:]), "not evenly spaced.*frame 3 of 000.dcm and frame 4 of 000.dcm are 5 mm apart, most slices 2.5 mm"),
        (enhanced(EVEN[:1] + EVEN[2:]), "frame 1 of 000.dcm and frame 2 of 000.dcm are 5 mm apart"),
        (enhanced(EVEN[:3] + [(-10, -20, 200 + 2.5 * n) for n in range(3)]), "frame 3 of 000.dcm and frame 4 of 000.dcm are 95 mm apart"),
        (enhanced(EVEN + EVEN), "frame 1 of 000.dcm and frame 7 of 000.dcm lie at the same place; time points.* Export the volume"),
        (enhanced([place for place in EVEN for _ in range(2)]), "frame 1 of 000.dcm and frame 2 of 000.dcm lie at the same place"),
        (enhanced(EVEN, [AXIAL] * 3 + [CORONAL] * 3), r"mixes orientations: 3 axial \(.*\), 3 coronal"),
        (enhanced(EVEN[:1] * 2), "lie at the same place"),
        (slice_at((0, 0, 0), NumberOfFrames=3, PixelData=bytes(288)), "not say how far apart its 3 frames lie.*convert it to .nrrd"),
    ],
)
def test_frames_that_are_no_even_volume_are_refused(folder_of, image, message):
    with pytest.raises(InputError, match=message) as error:
        read_volume(folder_of(image))
    assert str(error.value).split(": ")[0].endswith("000.dcm")


def test_frames_that_do_not_say_where_they_lie_are_refused(folder_of):
    image = enhanced(EVEN)
    del image.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence
    image.PerFrameFunctionalGroupsSequence[4].PlanePositionSequence = []
    with pytest.raises(InputError, match=r"2 of its 6 images \(frame 4 of 000\.dcm, \.\.\.\) have no position"):
        read_volume(folder_of(image))


@pytest.mark.parametrize("described", [0, 5])
def test_frames_that_the_header_leaves_out_are_refused(folder_of, described):
    image = enhanced(EVEN)
    image.PerFrameFunctionalGroupsSequence = image.PerFrameFunctionalGroupsSequence[:described]
    with pytest.raises(InputError, match=f"says of {described} of its 6 frames where they lie"):
        read_volume(folder_of(image))


def test_frames_of_the_older_kind_lie_at_the_distance_that_is_said(folder_of):
    volume = read_volume(folder_of(slice_at((0, 0, 30), NumberOfFrames=3, SpacingBetweenSlices=4, PixelData=bytes(288))))
    assert volume.ijk_to_lps.tolist() == [[0.5, 0, 0, 0], [0, 0.75, 0, 0], [0, 0, 4, 30], [0, 0, 0, 1]]
    assert volume.shape_ijk == (8, 6, 3)


@pytest.mark.parametrize("length", [400, 900, 1200, -700, -100])
def test_a_truncated_multi_frame_image_is_named(folder_of, length):
    path = folder_of(enhanced(EVEN)) / "000.dcm"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(InputError, match=r"000\.dcm"):
        read_volume(path)


@pytest.mark.parametrize("tag", [b"\x20\x00\x13\x91", b"\x20\x00\x32\x00"], ids=["sequence of positions", "position"])
@pytest.mark.parametrize(("at", "flip"), [(4, 0x7F), (8, 0x01), (8, 0x7F), (12, 0x7F), (16, 0x7F)])
def test_a_damaged_description_of_frames_is_named_or_does_no_harm(folder_of, tag, at, flip):
    path = folder_of(enhanced(EVEN)) / "000.dcm"
    sound = read_volume(path)
    content = bytearray(path.read_bytes())
    content[content.index(tag) + at] ^= flip
    path.write_bytes(content)
    try:
        volume = read_volume(path)
    except InputError as error:
        fine = "000.dcm" in str(error)
    else:
        fine = volume.same_grid(sound) and np.array_equal(volume.voxels, sound.voxels)
    assert fine


def apart(places, rescales=None):
    """Each frame as a file of its own; the pixels of file n (from 0) are 100 n."""
    images = [enhanced([place], rescales=[rescale]) for place, rescale in zip(places, rescales or [(1, -1000)] * len(places), strict=True)]
    for number, image in enumerate(images):
        image.PixelData = np.full(image.Rows * image.Columns, 100 * number, np.uint16).tobytes()
    return images


def test_frames_in_files_of_their_own_are_read_as_a_series(folder_of):
    order = [2, 0, 5, 1, 4, 3]
    folder = folder_of(*apart([EVEN[n] for n in order]))
    for path in (folder, folder / "003.dcm"):
        volume = read_volume(path)
        assert volume.voxels[:, 0, 0].tolist() == [100 * order.index(n) - 1000 for n in range(6)]
        assert volume.ijk_to_lps.tolist() == [[0.5, 0, 0, -10], [0, 0.75, 0, -20], [0, 0, 2.5, 100], [0, 0, 0, 1]]


def test_frames_in_files_of_their_own_are_rescaled_each_by_its_numbers(folder_of):
    volume = read_volume(folder_of(*apart(EVEN[:3], [(1, -1000), (3, 1), (0.25, 0.5)])))
    assert volume.voxels[:, 0, 0].tolist() == [-1000, 301, 50.5]


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (apart(EVEN[:3] + EVEN[4:]), "not evenly spaced.*002.dcm and 003.dcm are 5 mm apart"),
        (apart(EVEN[:3] + EVEN[2:]), "002.dcm and 003.dcm lie at the same place"),
        ([*apart(EVEN), enhanced([(-10, -20, 115)], [CORONAL])], "mixes orientations: 6 axial .*, 1 coronal"),
        ([*apart(EVEN), enhanced(EVEN)], r"000\.dcm and frame 1 of 006\.dcm lie at the same place"),
        ([*apart(EVEN), spect()], "several multi-frame images"),
    ],
)
def test_frames_in_files_that_are_no_even_volume_are_refused(folder_of, images, message):
    with pytest.raises(InputError, match=message):
        read_volume(folder_of(*images))


def test_a_multi_frame_segmentation_is_no_image(folder_of):
    image = enhanced(EVEN)
    image.Modality = "SEG"
    with pytest.raises(InputError, match="holds SEG, not an image"):
        read_volume(folder_of(image) / "000.dcm")


# ---------------------------------------------------------------- several files


def test_files_of_one_enhanced_series_are_joined(folder_of):
    rescales = [(1, -1000), (2, 0), (1, 0), (1, 5), (3, 0), (1, -7)]
    order = [3, 0, 5, 1, 4, 2]
    images = [
        enhanced([EVEN[n] for n in order[:4]], rescales=[rescales[n] for n in order[:4]]),
        enhanced([EVEN[n] for n in order[4:]], rescales=[rescales[n] for n in order[4:]]),
    ]
    folder = folder_of(*images)
    for path in (folder, folder / "001.dcm"):
        volume = read_volume(path)
        stored = {n: 100 * (order.index(n) % 4) for n in range(6)}
        assert volume.voxels[:, 0, 0].tolist() == [stored[n] * rescales[n][0] + rescales[n][1] for n in range(6)]
        assert volume.ijk_to_lps[:3, 2:].tolist() == [[0, -10], [0, -20], [2.5, 100]]
        assert volume.source.geometry == "positions of 6 frames"


def test_files_of_a_series_that_are_time_points_are_read_one_by_one(folder_of):
    folder = folder_of(enhanced(EVEN), enhanced(EVEN, rescales=[(1, 0)] * 6))
    with pytest.raises(InputError, match="lie at the same place; time points"):
        read_volume(folder)
    volume = read_volume(folder / "001.dcm")
    assert volume.voxels[:, 0, 0].tolist() == [0, 100, 200, 300, 400, 500]
    assert "1 other files, which do not continue it: this one was read alone" in volume.source.warnings[0]


def test_frames_of_several_stacks_are_refused(folder_of):
    image = enhanced(EVEN)
    for number, frame in enumerate(image.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence = [type(image)()]
        frame.FrameContentSequence[0].StackID = "AB"[number % 2]
    with pytest.raises(InputError, match=r"its frames are 2 stacks \(Stack ID A, B\)\. Export the one"):
        read_volume(folder_of(image))


# ---------------------------------------------------------------- one place for all frames


@pytest.mark.parametrize("gap_mm", [-3, 3])
def test_the_sign_of_the_distance_tells_where_slices_of_nuclear_medicine_run(folder_of, gap_mm):
    volume = read_volume(folder_of(spect(gap_mm=gap_mm)))
    assert volume.ijk_to_lps.tolist() == [[0.5, 0, 0, -10], [0, 0.75, 0, -20], [0, 0, gap_mm, 80], [0, 0, 0, 1]]
    assert volume.voxels[:, 0, 0].tolist() == [0, 100, 200, 300]
    assert volume.source.geometry == f"position of the first frame, {gap_mm} mm from frame to frame"


def test_frames_of_nuclear_medicine_lie_in_the_order_of_their_slice_vector(folder_of):
    volume = read_volume(folder_of(spect(SliceVector=[2, 1, 4, 3], NumberOfSlices=4)))
    assert volume.voxels[:, 0, 0].tolist() == [100, 0, 300, 200]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (spect(SpacingBetweenSlices=None), "not say how far apart its 4 frames lie. Export it as"),
        (spect(SpacingBetweenSlices=None, SliceThickness=3), "lie; how thick they are says nothing of that"),
        (spect(SpacingBetweenSlices=0), "not say how far apart"),
        (spect(Modality="OT"), r"the distance between its slices is negative \(-3 mm\); that has a meaning in nuclear medicine only"),
        (spect(NumberOfSlices=2, SliceVector=[1, 2, 1, 2]), r"4 frames are several volumes of 2 slices \(time points"),
        (spect(NumberOfSlices=2), "several volumes of 2 slices"),
        (spect(PixelSpacing=None), r"not say how large its pixels are \(Pixel Spacing\)"),
        (spect(PixelSpacing=[0, 0]), "not say how large its pixels are"),
        (spect(PixelSpacing=None, SequenceOfUltrasoundRegions=[region(units=4)]), "not say how large its pixels are"),
        (spect(PixelSpacing=None, SequenceOfUltrasoundRegions=[region((0.1, None))]), "not say how large its pixels are"),
        (spect(PixelSpacing=None, SequenceOfUltrasoundRegions=[region(), region((1, 1))]), "not say how large its pixels are"),
    ],
)
def test_frames_whose_place_cannot_be_told_are_refused(folder_of, image, message):
    with pytest.raises(InputError, match=message) as error:
        read_volume(folder_of(image))
    assert "000.dcm: " in str(error.value)


def test_pixel_spacing_comes_from_the_regions_of_ultrasound(folder_of):
    image = spect(gap_mm=1, Modality="US", PixelSpacing=None, SequenceOfUltrasoundRegions=[region(), region(), region((9, 9), units=7)])
    volume = read_volume(folder_of(image))
    assert volume.spacing_mm == pytest.approx([0.3, 0.2, 1])
    assert volume.source.warnings == (f"{volume.name}: Its pixel spacing is that of its ultrasound regions.",)


def test_pixel_spacing_on_the_detector_is_told_to_be_that(folder_of):
    volume = read_volume(folder_of(spect(PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.3])))
    assert volume.spacing_mm == pytest.approx([0.3, 0.2, 3])
    assert "that on the detector" in volume.source.warnings[0]
    assert volume.source.unspaced


def test_a_place_that_is_not_said_is_told_to_be_assumed(folder_of):
    image = spect(gap_mm=2, Modality="US")
    del image.DetectorInformationSequence
    volume = read_volume(folder_of(image))
    assert volume.ijk_to_lps[:3, 3].tolist() == [0, 0, 0]
    assert [sentence.split()[5] for sentence in volume.source.warnings] == ["where", "how"]


def test_a_multi_frame_image_is_read_alone_from_a_folder_of_others(folder_of, tmp_path):
    folder = folder_of(enhanced(EVEN), *(slice_at((0, 0, n), series="1.7") for n in range(3)))
    shutil.copy(folder / "000.dcm", tmp_path / "alone.dcm")
    assert np.array_equal(read_volume(folder / "000.dcm").voxels, read_volume(tmp_path / "alone.dcm").voxels)
