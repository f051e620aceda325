"""Words that program-written problems are made of; all are our own lists."""

from __future__ import annotations

SHE = "Anna Bella Clara Dana Elena Fiona Grace Hanna Ivy Julia Kate Lena Maria Nora Olive Paula Rosa Sara Tina".split()
HE = "Adam Ben Carl David Eric Frank George Henry Ivan Jack Kevin Leo Mark Nick Oscar Peter Ryan Sam Tom Victor".split()
SYLLABLES = (
    "ba be bo da de di do fa fe ga go ha ja jo ka ke ki ko la le li lo ma me mi mo na ne ni no pa pe ra re ri ro "
    "sa se si so ta te ti to va ve vi wa ya yo za ze zo"
).split()
THINGS = (
    "apple orange marble pencil book card sticker stamp coin cookie cupcake balloon shell flower rose tulip toy car "
    "doll puzzle button bead ribbon candle lemon peach pear plum egg muffin donut sandwich pizza bracelet necklace "
    "crayon marker notebook folder ticket poster photo magazine kite ball brick tile plant tree bottle cup plate bowl "
    "spoon shirt hat scarf sock jacket towel pillow blanket basket lamp chair table clock watch hammer nail rope "
    "ladder fish bird rabbit duck chicken goat sheep cow horse lizard frog turtle letter envelope painting drawing "
    "robot"
).split()
CONTAINERS = "box bag basket jar crate shelf pack carton drawer tray".split()
PLACES = "the store,the market,the farm,school,the park,the fair,the library,the museum,the bakery,the zoo".split(",")
FRIENDS = "friends cousins classmates neighbors brothers sisters teammates children students".split()
VERBS = (
    ("bought", "buy"), ("sold", "sell"), ("collected", "collect"), ("made", "make"), ("found", "find"),
    ("picked", "pick"), ("packed", "pack"), ("painted", "paint"), ("counted", "count"), ("ordered", "order"),
    ("washed", "wash"), ("carried", "carry"),
)  # fmt: skip
CROWDS = (
    "students in a class", "people at a party", "guests at a wedding", "animals on a farm", "children at a camp",
    "players in a club", "workers in a factory",
)  # fmt: skip
HABITS = (
    "wear glasses", "like music", "are young", "play chess", "have a hat", "come by bus", "speak French", "are tired",
)  # fmt: skip
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()
WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}
TIMES = {2: "twice", 3: "three times", 4: "four times", 5: "five times"}
PARTS = {2: "half", 3: "a third", 4: "a quarter", 5: "a fifth"}


def plural(thing: str) -> str:
    """Return the plural of one of `THINGS` or `CONTAINERS`."""
    if thing in ("fish", "sheep"):
        return thing
    if thing.endswith(("s", "x", "ch", "sh")):
        return thing + "es"
    return thing[:-1] + "ves" if thing.endswith("lf") else thing + "s"


def number_text(value: float) -> str:
    """Return a number as people write it: `3`, `2.5`, at most two decimal places."""
    return str(int(value)) if value == int(value) else f"{value:.2f}".rstrip("0")
