"""Photographs of clothing: what is written about them, and data folders made from it."""

from likebut.clothing.annotations import Photograph, load_photographs, load_triplets
from likebut.clothing.attributes import attributes_of
from likebut.clothing.folder import ClothingCounts, ClothingSettings, make_clothing

__all__ = [
    "ClothingCounts",
    "ClothingSettings",
    "Photograph",
    "attributes_of",
    "load_photographs",
    "load_triplets",
    "make_clothing",
]
