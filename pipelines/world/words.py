"""The words of the procedural world: what each thing is called, plainly first, then in other words.

Pure tables; the renderer, the captions, the tokenizer and the page all read the world's vocabulary from here.
"""

from __future__ import annotations

import re
from typing import Any

from pipelines.world.nearby import NEAREST, PASSING

Phrases = tuple[str, ...]

SHAPES: dict[str, Phrases] = {
    "ball": ("ball", "sphere", "circle"),
    "cube": ("cube", "square", "box"),
    "star": ("star",),
    "triangle": ("triangle", "pyramid"),
    "heart": ("heart",),
    "ring": ("ring", "hoop"),
}
ANIMALS: dict[str, Phrases] = {
    "cat": ("cat", "kitten", "kitty"),
    "dog": ("dog", "puppy", "hound"),
    "fox": ("fox",),
    "rabbit": ("rabbit", "bunny", "hare"),
    "bear": ("bear", "brown bear"),
    "panda": ("panda",),
    "pig": ("pig", "piglet"),
    "frog": ("frog", "toad"),
    "lion": ("lion",),
    "tiger": ("tiger",),
    "monkey": ("monkey", "ape"),
    "mouse": ("mouse",),
    "cow": ("cow",),
    "koala": ("koala",),
    "chick": ("chick", "chicken"),
    "penguin": ("penguin",),
    "owl": ("owl",),
    "duck": ("duck",),
    "turtle": ("turtle", "tortoise"),
    "fish": ("fish",),
    "whale": ("whale",),
    "octopus": ("octopus",),
    "butterfly": ("butterfly",),
    "bee": ("bee", "honeybee"),
    "ladybug": ("ladybug", "beetle"),
    "unicorn": ("unicorn",),
    "elephant": ("elephant",),
    "crab": ("crab",),
}
FOOD: dict[str, Phrases] = {
    "apple": ("apple",),
    "banana": ("banana",),
    "watermelon": ("watermelon", "melon"),
    "strawberry": ("strawberry",),
    "carrot": ("carrot",),
    "pizza": ("pizza", "slice of pizza"),
    "burger": ("burger", "hamburger"),
    "cookie": ("cookie", "biscuit"),
    "cupcake": ("cupcake", "muffin"),
    "cake": ("cake", "birthday cake"),
    "lemon": ("lemon",),
    "pineapple": ("pineapple",),
    "cherry": ("cherry", "pair of cherries"),
    "mushroom": ("mushroom", "toadstool"),
}
VEHICLES: dict[str, Phrases] = {
    "car": ("car", "automobile"),
    "bus": ("bus", "coach"),
    "taxi": ("taxi", "cab"),
    "tractor": ("tractor",),
    "train": ("train", "locomotive"),
    "plane": ("plane", "airplane", "jet"),
    "helicopter": ("helicopter", "chopper"),
    "rocket": ("rocket", "spaceship"),
    "boat": ("boat", "sailboat", "ship"),
    "ufo": ("ufo", "flying saucer"),
}
OBJECTS: dict[str, Phrases] = {
    "basketball": ("basketball",),
    "football": ("football", "soccer ball"),
    "balloon": ("balloon",),
    "bell": ("bell",),
    "robot": ("robot", "android"),
    "ghost": ("ghost", "spirit"),
    "teddy": ("teddy bear", "teddy"),
    "pumpkin": ("pumpkin", "jack-o-lantern"),
    "crown": ("crown",),
    "gift": ("gift", "present"),
    "snowman": ("snowman",),
    "sunflower": ("sunflower", "flower"),
    "umbrella": ("umbrella",),
    "guitar": ("guitar",),
}
SPRITES: dict[str, Phrases] = {**ANIMALS, **FOOD, **VEHICLES, **OBJECTS}
TALKERS: dict[str, Phrases] = {
    "monster": ("monster", "critter"),
    "clay": ("clay figure", "clay creature"),
    "smiley": ("smiley", "smiley face", "emoji face"),
    "sprout": ("talking plant", "potted plant"),
}
SUBJECTS: dict[str, Phrases] = {**SHAPES, **SPRITES, **TALKERS}

COLOURS: dict[str, Phrases] = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden"),
    "green": ("green", "emerald"),
    "teal": ("teal", "turquoise"),
    "blue": ("blue", "azure"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "rosy"),
    "brown": ("brown",),
    "white": ("white",),
}
MATERIALS: dict[str, Phrases] = {
    "rubber": ("rubber", "soft", "rubber"),
    "wood": ("wooden", "wood"),
    "metal": ("metal", "steel", "iron"),
    "glass": ("glass", "crystal"),
}
ACTIONS: dict[str, Phrases] = {
    "bouncing": ("bouncing", "hopping", "jumping up and down", "that bounces", "bounces", "hops"),
    "rolling": ("rolling", "rolling along", "tumbling along", "that rolls", "rolls along"),
    "drifting left": ("drifting left", "moving to the left", "floating left", "flies to the left", "gliding left"),
    "drifting right": ("drifting right", "moving to the right", "floating right", "flies to the right", "gliding right"),
    "rising": ("rising", "floating up", "going up", "rises", "lifting off"),
    "falling": ("falling", "falling down", "dropping to the ground", "falls down", "drops"),
    "spinning": ("spinning", "turning around", "whirling", "that spins", "spins"),
    "growing": ("growing", "getting bigger", "that grows", "coming closer", "swelling"),
    "shrinking": ("shrinking", "getting smaller", "that shrinks", "going away"),
    "orbiting": ("orbiting", "flying in circles", "circling", "circles around", "going round and round"),
    "dancing": ("dancing", "that dances", "swinging to the beat", "dances", "grooving"),
    "talking": ("talking", "speaking", "that talks", "talks", "chatting", "telling a story"),
    "singing": ("singing", "that sings", "sings", "singing a song"),
    "colliding": ("colliding", "crashing into each other", "bumping into each other", "collide"),
    "standing still": ("standing still", "resting", "that does not move", "waiting", "stands still"),
}
PLACES: dict[str, Phrases] = {
    "sky": ("in the sky", "in the blue sky", "above the clouds", "on a cloud"),
    "night": ("at night", "in the night", "under the moon", "in the moonlight"),
    "grass": ("on grass", "in a green meadow", "on a lawn", "in a field"),
    "desert": ("in the desert", "in a sandy desert", "on sand", "on the dunes"),
    "sea": ("by the sea", "over the sea", "at the ocean", "above the waves"),
    "sunset": ("at sunset", "in the evening", "at dusk", "under an orange sky"),
    "forest": ("in the forest", "in the woods", "among trees", "between the trees"),
    "snow": ("in the snow", "in winter", "on a snowy field", "on ice"),
    "city": ("in the city", "in a rainy city", "in town", "in front of buildings"),
    "room": ("in a room", "at home", "indoors", "in the house"),
    "space": ("in space", "in outer space", "on the moon", "among the stars"),
    "stage": ("on stage", "on a stage", "in the spotlight", "in a theater"),
}
CAMERAS: dict[str, Phrases] = {
    "still": ("still camera", "the camera does not move", "static shot"),
    "pan left": ("camera pans left", "panning left", "pan to the left", "the camera moves left"),
    "pan right": ("camera pans right", "panning right", "pan to the right", "the camera moves right"),
    "zoom in": ("camera zooms in", "zooming in", "slow zoom in", "close-up at the end"),
    "zoom out": ("camera zooms out", "zooming out", "the camera pulls back", "slow zoom out"),
    "shake": ("shaky camera", "camera shake", "handheld camera", "the camera shakes"),
}
LOOKS: dict[str, Phrases] = {
    "flat": ("flat colours", "cartoon style", "a cartoon"),
    "pixel": ("pixel art", "as pixel art", "retro pixels", "8-bit style"),
    "sketch": ("pencil sketch", "as a sketch", "hand-drawn", "a pencil drawing"),
    "neon": ("neon", "neon style", "neon lights", "glowing neon"),
    "noir": ("film noir", "noir style", "black and white", "noir"),
}
SOUNDS: dict[str, Phrases] = {
    "drums": ("to drums", "with drums", "to a drum beat", "drum music"),
    "electronic": ("to electronic music", "with electronic music", "to techno", "synth music"),
    "soft": ("to soft music", "with gentle music", "to calm piano music", "soft bells"),
    "silence": ("in silence", "without sound", "silent", "no sound"),
}
TEMPOS: dict[str, Phrases] = {
    "slow": ("slow", "slowly"),
    "fast": ("fast", "quick"),
}
VOICES: dict[str, Phrases] = {
    "high": ("in a high voice", "with a high voice"),
    "low": ("in a low voice", "with a deep voice"),
    "child": ("in a child's voice", "like a child"),
    "robot": ("in a robot voice", "like a robot"),
}
AMBIENCES: dict[str, Phrases] = {
    "sky": ("high wind", "wind"),
    "night": ("crickets", "crickets chirping"),
    "grass": ("birds singing", "birds"),
    "desert": ("low wind", "desert wind"),
    "sea": ("waves", "the sound of waves"),
    "sunset": ("a warm tone", "a soft hum"),
    "forest": ("rustling leaves and birds", "leaves and birds"),
    "snow": ("hissing wind", "cold wind"),
    "city": ("rain", "the sound of rain"),
    "room": ("a quiet hum", "the hum of a room"),
    "space": ("a deep drone", "a deep hum"),
    "stage": ("a murmuring crowd", "the crowd"),
}
TABLES: dict[str, dict[str, Phrases]] = {
    "subject": SUBJECTS,
    "colour": COLOURS,
    "material": MATERIALS,
    "action": ACTIONS,
    "place": PLACES,
    "camera": CAMERAS,
    "look": LOOKS,
    "sound": SOUNDS,
    "tempo": TEMPOS,
    "voice": VOICES,
    "ambience": AMBIENCES,
}
# What holds captions together.
GLUE = (
    "a an the and with of on in to is are it it's they we hear see shows scene clip video shot showing there while which has its "
    "by both two together side next each other made from looks this drawn style sound sounds heard camera you can for at where "
    "something someone big small little nice happy everything quiet colour nothing else happens short"
)


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, in order; hyphens and apostrophes stay inside words."""
    return re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text.lower())


def vocabulary() -> list[str]:
    """Every word that captions may hold, sorted."""
    phrases = (phrase for table in TABLES.values() for phrases in table.values() for phrase in phrases)
    return sorted({word for phrase in (*phrases, GLUE, *SUBJECTS) for word in split_words(phrase)})


def words() -> dict[str, Any]:
    """What a released model carries as ``words.json``, so that the studio can say what is outside its world.

    ``pipelines.vocabulary`` reads it.
    """
    knows = {kind: {concept: list(phrases) for concept, phrases in table.items()} for kind, table in TABLES.items()}
    return {"knows": knows, "glue": sorted({*split_words(GLUE), *split_words(PASSING)}), "near": NEAREST}
