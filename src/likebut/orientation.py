"""Which way up a picture is to be seen, as its EXIF says."""

from PIL import ExifTags, Image

from likebut.errors import IMAGE_DAMAGE

# What turns a picture upright, by its EXIF orientation.
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turned_upright(image: Image.Image) -> Image.Image:
    """Return the image as its EXIF orientation says it is to be seen.

    Pillow's own ``exif_transpose`` writes the EXIF anew, which fails where any other field of it is malformed.
    """
    image.load()  # a TIFF is turned as it is loaded, and its EXIF changed with it
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except IMAGE_DAMAGE:
        turn = None  # pictures with broken EXIF are shown as they lie everywhere
    if turn is None:
        return image
    turned = image.transpose(turn)
    for name in ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp"):
        turned.info.pop(name, None)  # or it would be turned once more by whoever looks next
    return turned
