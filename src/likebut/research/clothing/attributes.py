"""The attributes of a photograph: attribute → value, parsed from the annotation's phrases where that is reliable."""

import re
from collections.abc import Mapping

from likebut.research.clothing.annotations import Photograph

NONE = "none"

KINDS = {
    "upper": (
        "t-shirt",
        "shirt",
        "jacket",
        "sweater",
        "long-sleeve top",
        "top",
        "blouse",
        "polo",
        "hoodie",
        "tank top",
        "sweatshirt",
        "cardigan",
        "vest",
        "blazer",
        "coat",
    ),
    "one-piece": ("dress", "romper", "bodysuit", "other"),
    "legs": ("trousers", "jeans", "shorts", "sweatpants", "leggings", "swim shorts"),
    "skirt": ("skirt",),
    "shoes": ("shoes", "sandals", "sneakers", "slippers", "boots", "heels"),
    "head": ("cap", "beanie", "hat", "sun hat"),
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}
"""The broad kind of each type."""

# The first pattern that a phrase of `cut` matches gives the value; phrases are lower case.
_SLEEVES = {
    "sleeveless": r"sleeveless|strapless|\b(?:spaghetti|thin|wide) straps|racerback|no sleeves",
    "three-quarter": r"(?:three-quarter|3/4)[\w -]*sleeve",
    "elbow": r"(?:elbow|half)[\w -]*sleeve",
    "cap": r"(?:cap|flutter) sleeve",
    "short": r"short[\w -]*sleeve",
    "long": r"long[\w -]*sleeve",
}
_NECK = {
    "high": r"turtleneck|\b(?:mock|high|roll|funnel)[ -]neck|high collar",
    "v-neck": r"v-neck",
    "scoop": r"scoop",
    "boat": r"boat neck",
    "square": r"square neck",
    "round": r"\b(?:crew|round)(?: collarless)?[ -]neck",
    "stand collar": r"\b(?:stand|band)[\w -]* ?collar",
    "lapels": r"lapels?\b",
    "collar": r"collar\b(?!less)",
}
_CLOSURE = {
    "half zip": r"\b(?:half|short|quarter)[ -]zip|zip neck",
    "zip": r"\bzip(?: and snap)? front|front zip|asymmetric zip|^zip$",
    "snaps": r"snap front",
    "placket": r"placket|henley",
    "buttons": r"button(?:ed)? front|double-breasted|^(?:one|two|three) buttons?$|^buttons$",
    "open": r"open front",
    "wrap": r"wrap",
}
_SHOE_CLOSURE = {
    "laces": r"lace-up|laces",
    "velcro": r"velcro",
    "slip-on": r"slip-on|pull-on|slides|clogs|loafers|ballet flats|mules",
    "strap": r"strap",
}
_LENGTH_OF_LEGS = {
    "short": r"above the knee|very short|mini|^short(?: legs)?$|thigh",
    "knee": r"knee length",
    "cropped": r"cropped|mid[- ]calf|three-quarter(?: legs)?$|capri",
    "long": r"full[- ]length|ankle length|^long(?: legs)?$|footed",
}
_LENGTH_OF_DRESSES = {
    "short": r"above the knee|very short|mini|^short$|thigh",
    "knee": r"knee length",
    "midi": r"midi|mid[- ]calf",
    "long": r"maxi|^long$|ankle length|full length|floor",
}
_LENGTH_OF_TOPS = {"cropped": r"cropped", "long": r"^long$|tunic|hip length|thigh length"}
_LEG = {
    "skinny": r"skinny",
    "slim": r"slim",
    "wide": r"\bwide[\w -]*legs?\b|loose leg|harem",
    "flared": r"flare|bootcut",
    "tapered": r"tapered|cuffed ankles|gathered ankles",
    "straight": r"straight",
}
_FIT = {"loose": r"loose|boxy|oversized", "fitted": r"fitted|slim fit|bodycon"}
_WAIST = {
    "drawstring": r"drawstring",
    "elastic": r"elastic(?:ated)? waist",
    "high": r"high (?:waist|rise)",
    "belt": r"belted",
}
_HEEL = {"flat": r"^flat", "heel": r"\bheel\b|stiletto|platform|wedge|pumps"}
_HEIGHT = {"low": r"low top", "ankle": r"ankle height|high top", "knee": r"knee high|mid calf"}
_BRIM = {"curved": r"curved brim", "flat": r"flat brim"}

_PATTERNS: dict[str, dict[str, dict[str, str]]] = {
    "upper": {"sleeves": _SLEEVES, "neck": _NECK, "closure": _CLOSURE, "length": _LENGTH_OF_TOPS, "fit": _FIT},
    "one-piece": {"sleeves": _SLEEVES, "neck": _NECK, "closure": _CLOSURE, "length": _LENGTH_OF_DRESSES, "fit": _FIT},
    "legs": {"length": _LENGTH_OF_LEGS, "leg": _LEG, "waist": _WAIST},
    "skirt": {"length": _LENGTH_OF_DRESSES, "waist": _WAIST},
    "shoes": {"closure": _SHOE_CLOSURE, "heel": _HEEL, "height": _HEIGHT},
    "head": {"brim": _BRIM},
}


def attributes_of(photograph: Photograph) -> dict[str, str]:
    """Return attribute → value of one photograph; values that the annotation does not state are left out.

    ``type``, ``colour``, ``pattern`` and ``age`` are always present, ``second colour`` is "none" if there is none,
    and ``hood`` is "none" for upper garments whose cut mentions no hood.
    """
    kind = KIND_OF[photograph.type]
    values = {
        "type": photograph.type,
        "colour": photograph.colours[0],
        "second colour": photograph.colours[1] if len(photograph.colours) > 1 else NONE,
        "pattern": photograph.pattern,
        "age": "kids" if photograph.kids else "adults",
    }
    if len(photograph.colours) > 2:
        values["third colour"] = photograph.colours[2]
    phrases = [phrase.strip().lower() for phrase in photograph.cut.split(",")]
    for attribute, patterns in _PATTERNS[kind].items():
        if value := _first_match(phrases, patterns):
            values[attribute] = value
    if kind in ("upper", "one-piece"):
        values["hood"] = "hood" if any(re.search(r"\bhood", phrase) for phrase in phrases) else NONE
        if values["hood"] == "hood":
            values.pop("neck", None)
    return values


def _first_match(phrases: list[str], patterns: Mapping[str, str]) -> str | None:
    for value, pattern in patterns.items():
        if any(re.search(pattern, phrase) for phrase in phrases):
            return value
    return None


def differences(reference: Mapping[str, str], target: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes that both have and that differ, with the target's values."""
    return {name: value for name, value in target.items() if name in reference and reference[name] != value}
