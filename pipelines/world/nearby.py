"""Everyday words that people type and the world lacks, each with the nearest thing that it has. Pure data.

A line says: what the world has, then the words that it stands in for. ``tests/pipelines/world/test_nearby.py`` holds that
every one of the former is in the tables of ``words.py``, and none of the latter.
"""

from __future__ import annotations

_SUBJECTS = {
    "ball": (
        "orb, globe, marble, bead, pearl, bubble, dot, tennis ball, baseball, golf ball, volleyball, snowball, beach ball, "
        "bowling ball, egg, onion, potato, boulder, stone, pebble, meteor, asteroid"
    ),
    "circle": "coin, button, plate, disc, disk, medal, clock, frisbee",
    "cube": "block, brick, dice, crate, rectangle, book, suitcase, fridge, television, tv, container, sofa, couch, bed",
    "box": "package, parcel, chest, drawer, basket, bag, backpack, bucket, barrel, table, chair, desk",
    "star": "snowflake, asterisk, sparkle, firework, fireworks, starfish, spark",
    "triangle": "cone, arrow, tent, wedge",
    "heart": "love, valentine, lips, kiss",
    "ring": "wheel, tire, tyre, donut, doughnut, bagel, bracelet, necklace, hula hoop, halo",
    "cat": "feline, lynx, ferret, hedgehog, raccoon, squirrel, skunk",
    "dog": "wolf, wolves, coyote, hyena, poodle, bulldog, labrador, corgi, husky, dachshund",
    "fox": "weasel, otter, badger, beaver, deer, reindeer, kangaroo",
    "rabbit": "hamster, guinea pig, chinchilla",
    "bear": "polar bear, grizzly, bison, walrus, seal, sloth",
    "pig": "boar, hippo, hippopotamus, warthog",
    "frog": "lizard, gecko, chameleon, salamander, newt, snake, worm, crocodile, alligator",
    "tiger": "leopard, cheetah, jaguar, panther, puma, cougar, zebra",
    "monkey": "gorilla, chimp, chimpanzee, orangutan, baboon, lemur",
    "mouse": "mice, rat, bat, mole, rodent",
    "cow": "bull, ox, buffalo, sheep, lamb, goat, calf, moose, yak, camel, llama, alpaca, donkey",
    "chick": "hen, rooster, turkey, canary, sparrow, hummingbird",
    "owl": "bird, eagle, hawk, falcon, raven, crow, vulture, pigeon, dove, parrot, seagull, stork",
    "duck": "goose, geese, swan, flamingo, pelican, peacock, ostrich, duckling",
    "turtle": "snail, slug, armadillo, sea turtle",
    "fish": "shark, goldfish, salmon, tuna, trout, seahorse, mermaid, eel, stingray",
    "whale": "dolphin, orca, porpoise, submarine, manatee",
    "octopus": "squid, jellyfish, spider, scorpion",
    "butterfly": "moth, dragonfly, fairy, pixie",
    "bee": "wasp, hornet, mosquito, firefly, insect",
    "ladybug": "bug, ant, cockroach, caterpillar, grasshopper",
    "unicorn": "horse, pony, foal, pegasus, stallion, centaur",
    "elephant": "rhino, rhinoceros, mammoth, giraffe, dinosaur",
    "crab": "lobster, shrimp, prawn, clam",
    "apple": "pear, plum, fruit, tomato, pomegranate, mango",
    "banana": "corn, cucumber, pickle, eggplant, zucchini",
    "watermelon": "coconut, avocado, cabbage, lettuce, broccoli, kiwi",
    "strawberry": "raspberry, blueberry, berry, chili",
    "pizza": "pasta, spaghetti, noodles, taco, lasagna, cheese, toast",
    "burger": "sandwich, hot dog, hotdog, bun, bread, steak, fries, food",
    "cookie": "cracker, pretzel, candy, chocolate bar, pancake, waffle",
    "cupcake": "ice cream, sundae, pudding, dessert, coffee, cup, mug, tea",
    "cake": "pie, wedding cake, brownie, cheesecake",
    "lemon": "grapefruit, tangerine, pea",
    "cherry": "grape, grapes, cranberry",
    "mushroom": "fungus, truffle, lamp",
    "car": (
        "bicycle, bike, motorbike, motorcycle, scooter, skateboard, van, jeep, suv, sports car, race car, racecar, limousine, "
        "police car, sedan, convertible, ferrari, tesla, vehicle"
    ),
    "bus": "truck, lorry, fire truck, ambulance, trailer, caravan, school bus, trolley",
    "tractor": "bulldozer, excavator, crane, tank, digger, forklift",
    "train": "tram, subway, metro, railway, monorail, steam engine",
    "plane": "aeroplane, aircraft, glider, airliner, fighter jet, paper plane, kite",
    "helicopter": "drone, quadcopter, hovercraft",
    "rocket": "missile, spacecraft, space shuttle, satellite, starship",
    "boat": "yacht, canoe, kayak, ferry, cruise ship, pirate ship, raft, gondola",
    "ufo": "alien ship, mothership",
    "football": "rugby ball, soccer",
    "balloon": "hot air balloon, parachute, zeppelin, blimp, lantern, light bulb, bulb",
    "bell": "gong, chime, trumpet, trombone, horn, saxophone, clarinet",
    "robot": "cyborg, machine, computer, laptop, astronaut, droid, mech, knight, engine",
    "ghost": "skeleton, skull, angel, phantom, mummy, shadow",
    "teddy bear": "doll, toy, puppet, plush, plushie, stuffed animal",
    "pumpkin": "halloween, squash",
    "crown": "hat, king, queen, tiara, jewel, jewels, treasure, helmet, trophy",
    "gift": "surprise, souvenir",
    "snowman": "santa, elf, gingerbread man",
    "sunflower": "rose, tulip, daisy, lily, dandelion, blossom, flowers, petal",
    "umbrella": "parasol, raincoat, shelter",
    "guitar": "violin, cello, banjo, ukulele, harp, mandolin, keyboard, accordion",
    "monster": "dragon, zombie, vampire, demon, alien, troll, goblin, ogre, devil, godzilla, yeti, bigfoot",
    "clay figure": (
        "woman, man, men, women, person, people, girl, boy, child, children, kid, baby, toddler, human, guy, lady, gentleman, "
        "dancer, singer, soldier, pirate, ninja, samurai, wizard, witch, princess, prince, superhero, cowboy, clown, doctor, "
        "teacher, chef, farmer, athlete, player, hero, warrior, character, mother, father, mom, dad, grandmother, grandfather, "
        "friend, couple, family, hand, body"
    ),
    "smiley": "head, smile, emoji, emoticon, mask, portrait, eye, eyes, selfie",
    "talking plant": "cactus, bush, fern, bonsai, bouquet, houseplant, herb",
}
_COLOURS = {
    "crimson": "maroon, burgundy, ruby, dark red",
    "red": "blood, rust",
    "orange": "amber, peach, apricot, coral",
    "golden": "gold, blonde, mustard",
    "green": "lime, olive, mint, jade",
    "turquoise": "cyan, aqua, aquamarine",
    "blue": "navy, indigo, sapphire, light blue, dark blue",
    "purple": "mauve",
    "violet": "lavender, lilac",
    "pink": "magenta, fuchsia, blush",
    "brown": "black, tan, chocolate, bronze, copper, beige, khaki, chestnut",
    "white": "grey, gray, ivory, cream, pale, transparent",
}
_MATERIALS = {
    "rubber": "plastic, jelly, foam, sponge, elastic, bouncy, slime",
    "soft": "fluffy, fuzzy, furry, wool, woolen, cotton, fabric, cloth, velvet, silk, leather, knitted, pillow",
    "wooden": "paper, cardboard, bamboo, oak, straw",
    "metal": "silver, chrome, aluminium, aluminum, tin, brass, metallic, rusty, shiny, concrete, rocky, granite",
    "crystal": "diamond, gem, gemstone",
    "glass": "ceramic, porcelain, mirror, bottle, liquid",
}
_ACTIONS = {
    "bouncing": "jumping, leaping, skipping, springing, juggling, dribbling, trampoline",
    "rolling": "running, jogging, sprinting, racing, driving, riding, skating, cycling, chasing, sliding, slipping",
    "drifting right": "walking, marching, crawling, swimming, sailing, sneaking, traveling, passing, hiking, strolling",
    "drifting left": "retreating, leaving, escaping",
    "floating up": "hovering, levitating, soaring",
    "rising": "climbing, ascending, launching, taking off, emerging",
    "falling": "diving, sinking, collapsing, descending, fell, fallen, tripping, landing, dripping, plunging",
    "spinning": "rotating, twirling, swirling, revolving, twisting, spun, somersault, flipping, cartwheel",
    "growing": "exploding, explode, expanding, inflating, blooming, stretching, approaching, grew, grown, bursting, enlarging",
    "shrinking": "melting, vanishing, disappearing, fading, deflating, dissolving, evaporating, shrank, shrunk, burning, dying",
    "circling": "revolving around, flew, zigzag, wandering, hunting",
    "dancing": (
        "waving, clapping, swaying, trembling, wobbling, wiggling, vibrating, breakdancing, ballet, waltz, tango, twerking, "
        "celebrating, partying, playing, exercising, moonwalk"
    ),
    "talking": (
        "shouting, yelling, screaming, whispering, laughing, crying, barking, meowing, roaring, spoke, spoken, "
        "arguing, explaining, greeting, asking, answering, smiling, growling, interview, speech, conversation, dialogue"
    ),
    "singing": "humming, whistling, rapping, sang, sung, yodeling, karaoke, serenading",
    "colliding": "fighting, hitting, punching, kicking, smashing, battling, boxing, wrestling, hugging, kissing, collision",
    "standing still": (
        "sleeping, sitting, lying, looking, staring, watching, thinking, reading, posing, stood, sat, frozen, motionless, "
        "meditating, eating, drinking, cooking, hiding"
    ),
}
_PLACES = {
    "sky": "cloudy, heaven, rainbow, sunny, sunlight, daylight, day, daytime, noon, midday, balcony, rooftop",
    "night": "midnight, nighttime, starry, dark, darkness, cave, tunnel, bedtime, aurora",
    "grass": "park, garden, farm, hill, valley, countryside, prairie, savanna, pasture, yard, backyard, playground, stadium",
    "green meadow": "summer, spring, picnic",
    "desert": "sahara, canyon, dune, wasteland, mars, volcano, lava, egypt, oasis, badlands",
    "sea": (
        "water, beach, lake, river, harbor, harbour, island, shore, coast, seaside, bay, pond, pool, waterfall, stream, "
        "creek, lagoon, aquarium, underwater, pier, port, dock, bridge, lighthouse, tropical"
    ),
    "sunset": "sun, sunrise, dawn, twilight, golden hour, morning, horizon, fire, flames, campfire, bonfire, candle, fireplace",
    "forest": "jungle, tree, rainforest, woodland, bamboo forest, swamp, leaf, autumn, pine, orchard, zoo, safari",
    "snow": (
        "mountain, mountains, glacier, ski, skiing, arctic, antarctica, iceberg, blizzard, alps, everest, christmas, north pole, "
        "ice rink, frost, icy, avalanche, snowing, peak, cliff"
    ),
    "city": (
        "skyscraper, building, street, road, tower, downtown, avenue, highway, sidewalk, alley, market, mall, shop, "
        "store, village, castle, palace, church, temple, station, train station, airport, factory, parking lot, traffic, suburb, "
        "paris, london, tokyo, new york, neighborhood, neighbourhood, skyline, metropolis, ruins, wall, storm"
    ),
    "room": (
        "kitchen, bedroom, office, bathroom, living room, classroom, school, library, hospital, hotel, restaurant, cafe, bar, "
        "basement, attic, garage, laboratory, lab, museum, gym, apartment, window, floor, ceiling, hallway, corridor, studio, "
        "prison, inside, shower"
    ),
    "outer space": "galaxy, planet, universe, cosmos, cosmic, nebula, milky way, earth, saturn, jupiter, black hole, comet",
    "stage": (
        "concert, theatre, cinema, circus, nightclub, opera, arena, festival, dance floor, ballroom, "
        "curtain, podium, party, audience, spotlights, talent show"
    ),
}
_CAMERA_AND_LOOKS = {
    "zooming in": "dolly, push in, macro, dolly in, zoomed, extreme close up, closeup",
    "zooming out": "aerial, drone shot, drone view, wide shot, crane shot, establishing shot, bird's eye view, wide angle",
    "panning right": "tracking shot, tracking, panorama, steadicam, tilt, following shot, pov",
    "panning left": "whip pan",
    "still camera": "tripod, fixed camera, locked camera, static camera",
    "shaky camera": "earthquake, vlog, found footage, gopro, bodycam",
    "slow": "slow motion, slowmo, gently, calmly, lazily, gradually",
    "fast": "timelapse, time lapse, hyperlapse, quickly, rapid, rapidly, speedy, swiftly, hurried, speed",
    "cartoon style": "anime, manga, comic, comics, disney, pixar, ghibli, animation, animated, claymation, stop motion, simpsons",
    "flat colours": (
        "3d, photo, photograph, photorealistic, realistic, hyperrealistic, realism, rendered, render, poster, vector, "
        "flat colors, cgi, unreal engine, colorful, colourful, pastel, low poly, documentary, origami"
    ),
    "pixel art": "minecraft, lego, voxel, 16 bit, video game, videogame, arcade, nintendo, tetris, mosaic, glitch",
    "pencil sketch": (
        "watercolor, watercolour, oil painting, painting, painted, charcoal, ink, crayon, doodle, impressionist, van gogh, "
        "chalk, illustration, storybook, line art, picasso"
    ),
    "neon style": "cyberpunk, vaporwave, synthwave, futuristic, hologram, laser, lasers, glow, blade runner, sci fi, scifi, led",
    "film noir": "cinematic, movie, horror, thriller, detective, gothic, dramatic, spooky, scary, mystery, vhs",
    "black and white": "monochrome, grayscale, greyscale, sepia, vintage, old movie, silhouette",
}
_SOUNDS = {
    "drums": (
        "rock, rock music, hip hop, hiphop, rap, percussion, marching band, explosion, explosions, bang, boom, heartbeat, bongo, "
        "tambourine, heavy metal, gunshot, gunfire, knock, rhythm, funk, reggae, samba, salsa, punk"
    ),
    "electronic music": "dubstep, edm, disco, trance, synthesizer, pop music, pop, remix, dj, bass, beep, siren, alarm",
    "soft music": (
        "jazz, violin music, classical music, classical, orchestra, orchestral, ambient, lullaby, flute, choir, melody, mozart, "
        "beethoven, bach, symphony, blues, folk, country music, soundtrack, lofi, lo fi, relaxing music, guitar music"
    ),
    "silence": "mute, muted, noiseless, soundless",
    "rain": "thunder, thunderstorm, lightning, drizzle, downpour, raindrops, stormy, puddle, wet, flood",
    "wind": "breeze, gale, hurricane, tornado, windy, whoosh, typhoon",
    "waves": "splash, splashing, tide, surf, surfing, tsunami",
    "crickets": "cicadas, insects",
    "crowd": "applause, cheering, clap, cheers, fans",
    "hum": "buzzing, buzz, noise",
    "high voice": "squeaky, chipmunk, female voice, woman's voice, falsetto, soprano",
    "deep voice": "male voice, man's voice, bass voice, baritone, husky voice",
    "robot voice": "autotune, vocoder, computer voice, voiceover, narrator",
}
# Words that hold any prompt together, or praise it: they ask for nothing that could be seen or heard.
PASSING = (
    "i me my mine you your yours he him his she her hers they them their theirs our us one ones another other others these "
    "those here then than so too very really just also only even still quite rather but or nor if as into onto out off over "
    "under above below behind beside between through across along around near past toward towards against outside "
    "during before after until since upon within about am are was were be been being do does did done doing have had having "
    "will would can could shall should may might must let lets go goes going gone get gets got make makes making made create "
    "generate give gives put use using want wants need try like likes who whom whose what when how why all any some many much "
    "more most few several each no not never don't doesn't isn't aren't up down back again away once now always please okay "
    "thing things way lot bit kind type sort full whole half part first second third last new same different beautiful "
    "pretty cute lovely cool great good best better amazing awesome wonderful perfect funny silly sweet gorgeous stunning "
    "magnificent magical epic high quality highly detailed detail simple tiny huge large giant long short tall thin thick "
    "wide round real very three four five six seven eight nine ten image picture footage sequence say says said saying prompt "
    "background foreground front middle center centre top bottom left right there's that's it's"
)


GROUPS = (_SUBJECTS, _COLOURS, _MATERIALS, _ACTIONS, _PLACES, _CAMERA_AND_LOOKS, _SOUNDS)
NEAREST = {word: has for group in GROUPS for has, lacks in group.items() for word in lacks.split(", ")}
"""What the world lacks, and the nearest thing that it has."""
