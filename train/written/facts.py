"""Questions over facts with exact plans: chains, comparisons, durations, sets; and the single facts among them.

A relation leads from a thing to another ("the director of {x}", "Who directed {x}?"); an attribute ends a chain.
A chain of one question is a single fact, which is best left whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from dnc_edge.train.written import names
from dnc_edge.train.written.question import Written

Thing = str  # "person", "film", ...


@dataclass(frozen=True)
class Relation:
    """A step from one kind of thing to another: as a noun phrase of {x}, and as questions about {x}."""

    source: tuple[Thing, ...]
    target: Thing
    phrases: tuple[str, ...]
    questions: tuple[str, ...]


def _r(source: str, target: Thing, phrases: str, questions: str) -> Relation:
    return Relation(tuple(source.split()), target, tuple(phrases.split("|")), tuple(questions.split("|")))


RELATIONS = (
    _r("film", "person", "the director of {x}|the person who directed {x}|{x}'s director", "Who directed {x}?"),
    _r("film", "person", "the star of {x}|the actor who played the lead in {x}", "Who starred in {x}?|Who played the lead in {x}?"),
    _r("film", "book", "the book that {x} is based on|the novel behind {x}", "Which book is {x} based on?"),
    _r("film", "person", "the composer of the music for {x}", "Who composed the music for {x}?"),
    _r("book", "person", "the author of {x}|the writer of {x}|the person who wrote {x}|{x}'s author", "Who wrote {x}?|Who is the author of {x}?"),
    _r("book", "place", "the city in which {x} is set|the place where {x} takes place", "Where is {x} set?"),
    _r("music", "person", "the composer of {x}|the person who composed {x}", "Who composed {x}?"),
    _r("song", "person", "the singer of {x}|the artist who recorded {x}|the performer of {x}", "Who sang {x}?|Who performed {x}?"),
    _r("song", "band", "the band that recorded {x}|the group behind {x}", "Which band recorded {x}?"),
    _r("song", "company", "the record label that released {x}", "Which record label released {x}?"),
    _r("art", "person", "the painter of {x}|the artist who made {x}|the creator of {x}", "Who made {x}?|Who created {x}?"),
    _r("art", "building", "the museum that holds {x}|the museum where {x} hangs", "Which museum holds {x}?|Where is {x} kept?"),
    _r("invention", "person", "the inventor of {x}|the person who invented {x}", "Who invented {x}?"),
    _r("product", "company", "the company that makes {x}|the maker of {x}", "Which company makes {x}?|Who makes {x}?"),
    _r("product", "person", "the creator of {x}|the person who designed {x}", "Who created {x}?"),
    _r("company", "person", "the founder of {x}|the person who founded {x}|{x}'s founder", "Who founded {x}?"),
    _r("company", "person", "the CEO of {x}|the head of {x}|the chief executive of {x}", "Who is the CEO of {x}?"),
    _r("company", "city", "the city where {x} has its headquarters|the headquarters of {x}", "Where is the headquarters of {x}?"),
    _r("company", "country", "the country that {x} comes from|the home country of {x}", "Which country is {x} from?"),
    _r("company", "company", "the parent company of {x}|the owner of {x}", "Which company owns {x}?"),
    _r("band", "person", "the lead singer of {x}|the singer of {x}", "Who is the lead singer of {x}?"),
    _r("band", "city", "the city where {x} formed|the hometown of {x}", "Where was {x} formed?"),
    _r("band", "song", "the first single of {x}", "What was the first single of {x}?"),
    _r("team", "city", "the city where {x} plays|the home city of {x}", "Which city does {x} play in?"),
    _r("team", "person", "the coach of {x}", "Who is the coach of {x}?|Who coaches {x}?"),
    _r("team", "person", "the captain of {x}", "Who is the captain of {x}?"),
    _r("team", "building", "the stadium of {x}|the home ground of {x}", "What is the home stadium of {x}?"),
    _r("person", "city", "the birthplace of {x}|the city where {x} was born|the town in which {x} was born|{x}'s birthplace", "Where was {x} born?"),
    _r("person", "country", "the country where {x} was born|the home country of {x}|{x}'s native country", "In which country was {x} born?"),
    _r("person", "city", "the city where {x} died|the place where {x} died", "Where did {x} die?"),
    _r("person", "person", "the spouse of {x}|the wife of {x}|the husband of {x}|{x}'s spouse", "Who was {x} married to?|Who is the spouse of {x}?"),
    _r("person", "person", "the father of {x}|{x}'s father", "Who is the father of {x}?"),
    _r("person", "person", "the mother of {x}|{x}'s mother", "Who is the mother of {x}?"),
    _r("person", "school", "the university that {x} attended|the school where {x} studied|{x}'s alma mater", "Where did {x} study?|Which university did {x} attend?"),
    _r("person", "person", "the teacher of {x}|the mentor of {x}", "Who was the teacher of {x}?"),
    _r("person", "book", "the best known work of {x}", "What is the best known work of {x}?"),
    _r("person", "book", "the first book by {x}", "What was the first book by {x}?"),
    _r("person", "person", "the successor of {x}", "Who succeeded {x}?"),
    _r("person", "person", "the predecessor of {x}", "Who came before {x}?"),
    _r("city", "country", "the country where {x} lies|the country that {x} is in|the country in which {x} is located", "Which country is {x} in?|In which country is {x}?"),
    _r("city place", "river", "the river that flows through {x}|the main river of {x}", "Which river flows through {x}?"),
    _r("city", "person", "the mayor of {x}", "Who is the mayor of {x}?"),
    _r("country", "city", "the capital of {x}|{x}'s capital|the capital city of {x}", "What is the capital of {x}?"),
    _r("country", "city", "the largest city in {x}|the most populous city of {x}", "What is the largest city in {x}?"),
    _r("country", "person", "the president of {x}|the head of state of {x}|the leader of {x}", "Who is the president of {x}?|Who is the head of state of {x}?"),
    _r("country", "mountain", "the highest mountain in {x}|the tallest peak of {x}", "What is the highest mountain in {x}?"),
    _r("country", "river", "the longest river in {x}", "What is the longest river in {x}?"),
    _r("country", "country", "the country south of {x}", "Which country is south of {x}?"),
    _r("country", "country", "the largest neighbour of {x}", "Which country is the largest neighbour of {x}?"),
    _r("country", "animal", "the national animal of {x}", "What is the national animal of {x}?"),
    _r("river", "country", "the country where {x} begins|the country in which {x} rises", "In which country does {x} begin?"),
    _r("river", "lake", "the sea into which {x} flows|the body of water that {x} flows into", "What does {x} flow into?|Into which sea does {x} flow?"),
    _r("mountain", "country", "the country where {x} lies|the country that {x} is in", "In which country is {x}?|Which country is {x} in?"),
    _r("mountain", "person", "the first person to climb {x}", "Who was the first to climb {x}?"),
    _r("lake", "country", "the country where {x} lies", "In which country is {x}?"),
    _r("building", "city", "the city where {x} stands|the city that {x} is in|the city in which {x} is located", "In which city is {x}?|Which city is {x} in?"),
    _r("building", "person", "the architect of {x}|the person who designed {x}", "Who designed {x}?|Who was the architect of {x}?"),
    _r("school", "city", "the city where {x} is|the home of {x}", "In which city is {x}?"),
    _r("school", "person", "the founder of {x}", "Who founded {x}?"),
    _r("event", "person", "the leader of the winning side in {x}", "Who led the winning side in {x}?"),
    _r("event", "country", "the country where {x} took place", "In which country did {x} take place?"),
    _r("animal", "country", "the country with the most wild {x}s", "Which country has the most wild {x}s?"),
    _r("matter", "person", "the person who discovered {x}|the discoverer of {x}", "Who discovered {x}?"),
)  # fmt: skip

# What ends a chain: questions about a thing whose answer is a value.
ATTRIBUTES: dict[Thing, tuple[str, ...]] = {
    "person": (
        "When was {x} born?", "In what year did {x} die?", "What nationality is {x}?", "How old was {x} when {x} died?",
        "When did {x} die?", "What is the occupation of {x}?", "How tall is {x}?", "Which prize did {x} win?",
        "What was the religion of {x}?", "How many children did {x} have?", "What language did {x} speak?",
        "When did {x} get married?", "Where is {x} buried?", "What is {x} famous for?", "How many siblings does {x} have?",
    ),
    "film": ("When did {x} come out?", "How long is {x}?", "How many Oscars did {x} win?", "What year was {x} released?"),
    "book": ("When was {x} published?", "How many pages does {x} have?", "What language was {x} first written in?", "Who is the main character of {x}?"),
    "music": ("When was {x} first performed?", "In which year was {x} written?", "How long does {x} last?"),
    "song": ("When was {x} released?", "On which album is {x}?", "How high did {x} get in the charts?"),
    "art": ("When was {x} made?", "In which year was {x} finished?", "How large is {x}?", "What does {x} show?"),
    "invention": ("When was {x} invented?", "What is {x} used for?", "In which year was {x} patented?"),
    "product": ("When was {x} first released?", "How many {x} have been sold?", "What does {x} cost?"),
    "company": ("When was {x} founded?", "How many people work for {x}?", "What is the revenue of {x}?", "What does {x} make?"),
    "band": ("When was {x} formed?", "How many albums did {x} release?", "When did {x} split up?", "How many members does {x} have?"),
    "team": ("When was {x} founded?", "How many titles has {x} won?", "What are the colors of {x}?"),
    "city": ("What is the population of {x}?", "How many people live in {x}?", "When was {x} founded?", "What is the postal code of {x}?", "What is the climate of {x}?", "What time zone is {x} in?", "What is the area of {x}?", "How high above sea level is {x}?"),
    "place": ("How many people live in {x}?", "When was {x} founded?", "What county is {x} in?", "What is {x} known for?"),
    "country": ("What is the population of {x}?", "What currency is used in {x}?", "What language is spoken in {x}?", "What are the colors of the flag of {x}?", "What is the area of {x}?", "When did {x} become independent?", "How many people live in {x}?", "What is the national anthem of {x}?", "On which continent is {x}?", "What side of the road do people drive on in {x}?"),
    "river": ("How long is {x}?", "How deep is {x}?", "How many countries does {x} flow through?"),
    "mountain": ("How high is {x}?", "When was {x} first climbed?", "What is the elevation of {x}?"),
    "lake": ("How deep is {x}?", "How large is {x}?", "What is the surface area of {x}?"),
    "building": ("How tall is {x}?", "When was {x} built?", "How many people visit {x} each year?", "What is {x} made of?"),
    "school": ("When was {x} founded?", "How many students does {x} have?", "What is the motto of {x}?"),
    "event": ("When did {x} happen?", "What year was {x}?", "How many people died in {x}?", "How long did {x} last?"),
    "animal": ("How long does a {x} live?", "How fast is a {x}?", "What does a {x} eat?", "How much does a {x} weigh?"),
    "matter": ("What is the melting point of {x}?", "What is the density of {x}?", "What is the chemical symbol of {x}?", "What is the boiling point of {x}?"),
    "planet": ("How far is {x} from the Sun?", "What is the diameter of {x}?", "How long is a year on {x}?", "What is the mass of {x}?"),
    "food": ("How many calories are in {x}?", "How much protein is in {x}?", "How much fat does {x} have?"),
}  # fmt: skip

_LISTS: dict[Thing, tuple[str, ...]] = {
    "person": names.PEOPLE, "film": names.FILMS, "book": names.BOOKS, "music": names.MUSIC, "song": names.SONGS,
    "art": names.ART, "invention": names.INVENTIONS, "product": names.PRODUCTS, "company": names.COMPANIES,
    "band": names.BANDS, "team": names.TEAMS, "city": names.CITIES, "country": names.COUNTRIES, "river": names.RIVERS,
    "mountain": names.MOUNTAINS, "lake": names.LAKES, "building": names.BUILDINGS, "school": names.SCHOOLS,
    "event": names.EVENTS, "animal": names.ANIMALS, "matter": names.MATTER, "planet": names.PLANETS, "food": names.FOODS,
}  # fmt: skip
_MADE_UP: dict[Thing, Callable[[Random], str]] = {
    "person": names.made_up_person, "film": names.made_up_title, "book": names.made_up_title, "city": names.made_up_place,
    "song": names.made_up_title, "place": names.made_up_place, "music": names.made_up_title,
}  # fmt: skip


def thing(rng: Random, kind: Thing) -> str:
    """A name of that kind: of the lists, or made up."""
    if kind in _MADE_UP and (kind not in _LISTS or rng.random() < 0.35):
        name = _MADE_UP[kind](rng)
    else:
        name = rng.choice(_LISTS[kind])
    if kind in ("film", "book", "song", "art") and rng.random() < 0.12:
        name = f'"{name}"'
    if kind in ("film", "book", "song") and not name.startswith("the ") and rng.random() < 0.2:
        name = f"the {kind if kind != 'book' else rng.choice(['novel', 'book'])} {name}"
    return name


def an(text: str) -> str:
    """ "a" before a vowel becomes "an": names are filled in after it."""
    return re.sub(r"\b([Aa]) (?=[AEIOaeio])", r"\1n ", text)


_STARTS = ("film", "book", "music", "song", "art", "invention", "product", "company", "band", "team", "person", "building",
           "country", "city", "mountain", "river", "school", "event", "lake", "animal", "matter")  # fmt: skip


def _path(rng: Random, length: int) -> list[Relation]:
    """Relations one after another, each from what the one before leads to."""
    while True:
        kind, path = rng.choice(_STARTS), []
        for _ in range(length):
            options = [r for r in RELATIONS if kind in r.source and r not in path]
            # Some kinds have many relations; let each target be as likely.
            if not options:
                break
            targets = sorted({r.target for r in options})
            target = rng.choice(targets)
            path.append(rng.choice([r for r in options if r.target == target]))
            kind = path[-1].target
        if len(path) == length:
            return path


def _walk(rng: Random, path: list[Relation], start: str, first: int = 1) -> tuple[str, list[str]]:
    """(noun phrase of the end, the questions on the way), numbered from `first`."""
    phrase, plan = start, []
    for number, relation in enumerate(path, start=first):
        reference = start if number == first else f"#{number - 1}"
        plan.append(rng.choice(relation.questions).format(x=reference))
        possessive = [p for p in relation.phrases if not p.startswith("{x}'s")]
        # "the director of X's birthplace's river" nobody says: the short form only once, on a name.
        phrase = rng.choice(relation.phrases if phrase == start else possessive).format(x=phrase)
    return phrase, plan


_ASKED = ("{q}", "{q}", "{q}", "{q}", "{q}", "Can you tell me: {q}", "Tell me, {l}", "I want to know {l}", "Quick question: {l}",
          "Do you know {l}", "For a quiz: {q}", "{q} Thanks!", "{q} I can't find it anywhere.")  # fmt: skip


def _said(rng: Random, question: str) -> str:
    lowered = question[0].lower() + question[1:] if question.split()[0] not in ("I",) else question
    return rng.choice(_ASKED).format(q=question, l=lowered)


def chain(rng: Random) -> Written:
    """One to three relations, then an attribute or the next relation: two to four sub-questions."""
    length = rng.choice([1, 1, 1, 2, 2, 2, 3])
    path = _path(rng, length)
    start = thing(rng, path[0].source[0])
    phrase, plan = _walk(rng, path, start)
    target = path[-1].target
    last = rng.choice(ATTRIBUTES[target])
    follow = [r for r in RELATIONS if target in r.source and r.target != path[-1].source[0]]
    if follow and rng.random() < 0.4:
        last = rng.choice(rng.choice(follow).questions)
    return Written(_said(rng, last.format(x=phrase)), (*plan, last.format(x=f"#{length}")))


def single(rng: Random) -> Written:
    """One fact about a named thing: left whole."""
    kind = rng.choice(list(ATTRIBUTES))
    name = thing(rng, kind)
    questions = list(ATTRIBUTES[kind]) + [q for r in RELATIONS if kind in r.source for q in r.questions]
    return Written(_said(rng, rng.choice(questions).format(x=name)), ())


# (kinds, question for two names, question for one, the comparison)
_COMPARED: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("person", ("Who was born first, {a} or {b}?", "Who was born earlier, {a} or {b}?", "Who is older, {a} or {b}?"), "When was {x} born?", "Which is earlier, #1 or #2?"),
    ("person", ("Who lived longer, {a} or {b}?", "Did {a} or {b} live longer?"), "How long did {x} live?", "Which is longer, #1 or #2?"),
    ("person", ("Who is taller, {a} or {b}?", "Is {a} taller than {b}?"), "How tall is {x}?", "Which is greater, #1 or #2?"),
    ("person", ("Were {a} and {b} from the same country?", "Do {a} and {b} have the same nationality?"), "What is the nationality of {x}?", "Are #1 and #2 the same?"),
    ("person", ("Were {a} and {b} born in the same city?",), "Where was {x} born?", "Are #1 and #2 the same?"),
    ("film", ("Which film came out first, {a} or {b}?", "Was {a} released before {b}?", "Which is older, {a} or {b}?"), "When did {x} come out?", "Which is earlier, #1 or #2?"),
    ("film", ("Which film is longer, {a} or {b}?", "Is {a} longer than {b}?"), "How long is {x}?", "Which is longer, #1 or #2?"),
    ("film", ("Which film won more Oscars, {a} or {b}?",), "How many Oscars did {x} win?", "Which is greater, #1 or #2?"),
    ("film", ("Did the same person direct {a} and {b}?", "Are {a} and {b} by the same director?"), "Who directed {x}?", "Are #1 and #2 the same?"),
    ("book", ("Which was published first, {a} or {b}?", "Is {a} older than {b}?"), "When was {x} published?", "Which is earlier, #1 or #2?"),
    ("book", ("Which book has more pages, {a} or {b}?",), "How many pages does {x} have?", "Which is greater, #1 or #2?"),
    ("country", ("Which country has more people, {a} or {b}?", "Is the population of {a} larger than that of {b}?", "Do more people live in {a} or in {b}?"), "What is the population of {x}?", "Which is greater, #1 or #2?"),
    ("country", ("Which is bigger, {a} or {b}?", "Which country has the larger area, {a} or {b}?"), "What is the area of {x}?", "Which is greater, #1 or #2?"),
    ("country", ("Do {a} and {b} use the same currency?",), "What currency is used in {x}?", "Are #1 and #2 the same?"),
    ("country", ("Is the capital of {a} larger than the capital of {b}?",), "", ""),
    ("city", ("Which city has more people, {a} or {b}?", "Is {a} bigger than {b}?", "Which is larger, {a} or {b}?"), "What is the population of {x}?", "Which is greater, #1 or #2?"),
    ("city", ("Which city is older, {a} or {b}?",), "When was {x} founded?", "Which is earlier, #1 or #2?"),
    ("city", ("Are {a} and {b} in the same country?",), "In which country is {x}?", "Are #1 and #2 the same?"),
    ("city", ("Which is warmer in summer, {a} or {b}?",), "How warm is {x} in summer?", "Which is greater, #1 or #2?"),
    ("river", ("Which is longer, {a} or {b}?", "Is {a} longer than {b}?"), "How long is {x}?", "Which is longer, #1 or #2?"),
    ("mountain", ("Which is higher, {a} or {b}?", "Is {a} taller than {b}?"), "How high is {x}?", "Which is higher, #1 or #2?"),
    ("lake", ("Which is deeper, {a} or {b}?",), "How deep is {x}?", "Which is deeper, #1 or #2?"),
    ("building", ("Which is taller, {a} or {b}?", "Is {a} taller than {b}?"), "How tall is {x}?", "Which is taller, #1 or #2?"),
    ("building", ("Which was built first, {a} or {b}?", "Is {a} older than {b}?"), "When was {x} built?", "Which is earlier, #1 or #2?"),
    ("company", ("Which company is older, {a} or {b}?", "Was {a} founded before {b}?"), "When was {x} founded?", "Which is earlier, #1 or #2?"),
    ("company", ("Which has more employees, {a} or {b}?",), "How many employees does {x} have?", "Which is greater, #1 or #2?"),
    ("band", ("Which band formed first, {a} or {b}?",), "When was {x} formed?", "Which is earlier, #1 or #2?"),
    ("animal", ("Which is faster, a {a} or a {b}?", "Can a {a} outrun a {b}?"), "How fast is a {x}?", "Which is faster, #1 or #2?"),
    ("animal", ("Which is heavier, a {a} or a {b}?", "Does a {a} weigh more than a {b}?"), "How much does a {x} weigh?", "Which is heavier, #1 or #2?"),
    ("animal", ("Which lives longer, a {a} or a {b}?",), "How long does a {x} live?", "Which is longer, #1 or #2?"),
    ("matter", ("Which melts at a higher temperature, {a} or {b}?",), "What is the melting point of {x}?", "Which is higher, #1 or #2?"),
    ("matter", ("Is {a} denser than {b}?", "Which is denser, {a} or {b}?"), "What is the density of {x}?", "Which is greater, #1 or #2?"),
    ("planet", ("Which is larger, {a} or {b}?", "Is {a} bigger than {b}?"), "What is the diameter of {x}?", "Which is greater, #1 or #2?"),
    ("food", ("Which has more calories, {a} or {b}?", "Does {a} have more calories than {b}?"), "How many calories are in {x}?", "Which is greater, #1 or #2?"),
    ("food", ("Which has more protein, {a} or {b}?",), "How much protein is in {x}?", "Which is greater, #1 or #2?"),
    ("event", ("Which happened first, {a} or {b}?", "Did {a} happen before {b}?"), "When did {x} happen?", "Which is earlier, #1 or #2?"),
    ("invention", ("Which was invented first, {a} or {b}?", "Is {a} older than {b}?"), "When was {x} invented?", "Which is earlier, #1 or #2?"),
    ("team", ("Which team has won more titles, {a} or {b}?",), "How many titles has {x} won?", "Which is greater, #1 or #2?"),
    ("school", ("Which is older, {a} or {b}?",), "When was {x} founded?", "Which is earlier, #1 or #2?"),
)  # fmt: skip

_OF_TWO = {
    "Which is greater, #1 or #2?": "Is #1 greater than #2?", "Which is earlier, #1 or #2?": "Is #1 earlier than #2?",
    "Which is longer, #1 or #2?": "Is #1 longer than #2?", "Which is higher, #1 or #2?": "Is #1 higher than #2?",
    "Which is taller, #1 or #2?": "Is #1 taller than #2?", "Which is faster, #1 or #2?": "Is #1 faster than #2?",
    "Which is heavier, #1 or #2?": "Is #1 heavier than #2?",
}  # fmt: skip
_YES_NO = ("Is ", "Was ", "Did ", "Does ", "Can ", "Do ", "Were ", "Are ")


def _two(rng: Random, kind: Thing) -> tuple[str, str]:
    first, second = thing(rng, kind), thing(rng, kind)
    while first == second:
        second = thing(rng, kind)
    return first, second


def comparison(rng: Random) -> Written:
    """Two things by one attribute."""
    kind, questions, asked, compared = rng.choice(_COMPARED)
    a, b = _two(rng, kind)
    question = rng.choice(questions).format(a=a, b=b)
    if not asked:
        plan = (f"What is the capital of {a}?", f"What is the capital of {b}?", "What is the population of #1?",
                "What is the population of #2?", "Is #3 greater than #4?")  # fmt: skip
        return Written(_said(rng, question), plan)
    if question.startswith(_YES_NO) and " or " not in question:
        compared = _OF_TWO.get(compared, compared)
    return Written(_said(rng, question), (asked.format(x=a), asked.format(x=b), compared))


_NUMBERS: tuple[tuple[str, str, str], ...] = (
    ("country", "What is the population of {x}?", "people does {a} have than {b}"),
    ("city", "How many people live in {x}?", "people live in {a} than in {b}"),
    ("film", "How many Oscars did {x} win?", "Oscars did {a} win than {b}"),
    ("team", "How many titles has {x} won?", "titles has {a} won than {b}"),
    ("band", "How many albums did {x} release?", "albums did {a} release than {b}"),
    ("book", "How many pages does {x} have?", "pages does {a} have than {b}"),
    ("food", "How many calories are in {x}?", "calories are in {a} than in {b}"),
)
_MORE: tuple[tuple[str, str, str], ...] = (
    ("mountain", "How high is {x}?", "higher"), ("river", "How long is {x}?", "longer"), ("building", "How tall is {x}?", "taller"),
    ("lake", "How deep is {x}?", "deeper"), ("film", "How long is {x}?", "longer"), ("person", "When was {x} born?", "older"),
    ("company", "When was {x} founded?", "older"), ("animal", "How much does a {x} weigh?", "heavier"),
)  # fmt: skip


def difference(rng: Random) -> Written:
    """By how much two things differ, or how many times one is the other."""
    if rng.random() < 0.4:
        kind, asked, words = rng.choice(_NUMBERS)
        a, b = _two(rng, kind)
        question = f"How many more {words.format(a=a, b=b)}?"
        last = "What is #1 minus #2?"
    else:
        kind, asked, words = rng.choice(_MORE)
        a, b = _two(rng, kind)
        the = "a " if kind == "animal" else ""
        question, last = f"How much {words} is {the}{a} than {the}{b}?", "What is #1 minus #2?"
        if words == "older":
            last = "What is #2 minus #1?"
            question = rng.choice([question, f"How many years older is {a} than {b}?"])
        elif rng.random() < 0.3:
            question, last = f"How many times {words} is {the}{a} than {the}{b}?", "What is #1 divided by #2?"
    return Written(_said(rng, question), (asked.format(x=a), asked.format(x=b), last))


_WHEN: dict[Thing, tuple[str, str]] = {
    "event": ("{x}", "When did {x} happen?"), "invention": ("the invention of {x}", "When was {x} invented?"),
    "company": ("the founding of {x}", "When was {x} founded?"), "person": ("the birth of {x}", "When was {x} born?"),
    "film": ("the release of {x}", "When was {x} released?"), "book": ("the publication of {x}", "When was {x} published?"),
    "school": ("the founding of {x}", "When was {x} founded?"), "building": ("the opening of {x}", "When did {x} open?"),
}  # fmt: skip


def duration(rng: Random) -> Written:
    """Years between two events; how old somebody was; whether somebody could have seen something."""
    form = rng.randrange(4)
    if form == 0:
        kinds = rng.choice(list(_WHEN)), rng.choice(list(_WHEN))
        a, b = thing(rng, kinds[0]), thing(rng, kinds[1])
        (one, first), (other, second) = _WHEN[kinds[0]], _WHEN[kinds[1]]
        question = rng.choice(["How many years passed between {a} and {b}?", "How many years are there between {a} and {b}?",
                               "How long after {a} was {b}?", "How much time lies between {a} and {b}?"])  # fmt: skip
        when = (first.format(x=a), second.format(x=b), "How many years are between #1 and #2?")
        return Written(_said(rng, question.format(a=one.format(x=a), b=other.format(x=b))), when)
    person, event = thing(rng, "person"), thing(rng, "event")
    plan: tuple[str, ...]
    if form == 1:
        question = rng.choice([f"How old was {person} during {event}?", f"How old was {person} at the time of {event}?",
                               f"What age was {person} when {event} happened?"])  # fmt: skip
        plan = (f"When was {person} born?", f"When did {event} happen?", "How many years are between #1 and #2?")
    elif form == 2:
        question = rng.choice([f"Was {person} alive during {event}?", f"Could {person} have witnessed {event}?",
                               f"Did {person} live to see {event}?"])  # fmt: skip
        plan = (
            f"When was {person} born?",
            f"When did {person} die?",
            f"When did {event} happen?",
            "Is #3 between #1 and #2?",
        )
    else:
        kind = rng.choice(["invention", "product"])
        item = thing(rng, kind)
        question = rng.choice([f"Could {person} have used {item}?", f"Did {person} live long enough to use {item}?",
                               f"Would {person} have been able to use {item}?"])  # fmt: skip
        plan = (f"When did {person} die?", f"When was {item} invented?", "Is #2 before #1?")
    return Written(_said(rng, question), plan)


def bridge_comparison(rng: Random) -> Written:
    """What two things lead to, compared."""
    kind, word, relation = rng.choice([
        ("film", "director", "Who directed {x}?"), ("book", "author", "Who wrote {x}?"), ("music", "composer", "Who composed {x}?"),
        ("company", "founder", "Who founded {x}?"), ("invention", "inventor", "Who invented {x}?"), ("art", "artist", "Who created {x}?"),
        ("country", "capital", "What is the capital of {x}?"),
    ])  # fmt: skip
    a, b = _two(rng, kind)
    if kind == "country":
        asked, compared, words = "What is the population of {x}?", "Which is greater, #3 or #4?", "has more people"
    else:
        asked, compared, words = rng.choice([
            ("When was {x} born?", "Which is earlier, #3 or #4?", "was born first"),
            ("When did {x} die?", "Which is earlier, #3 or #4?", "died first"),
            ("When did {x} die?", "Which is later, #3 or #4?", "died later"),
            ("When was {x} born?", "Which is later, #3 or #4?", "is younger"),
        ])  # fmt: skip
    question = rng.choice([f"Which {word} {words}, the one of {a} or the one of {b}?", f"Whose {word} {words}, {a} or {b}?",
                           f"Who {words}, the {word} of {a} or the {word} of {b}?" if kind != "country" else
                           f"Which capital {words}, that of {a} or that of {b}?"])  # fmt: skip
    plan = (relation.format(x=a), relation.format(x=b), asked.format(x="#1"), asked.format(x="#2"), compared)
    return Written(_said(rng, question), plan)


_SETS: tuple[tuple[str, str], ...] = (
    ("the countries that border {country}", "Which countries border {country}?"),
    ("the books by {person}", "Which books did {person} write?"),
    ("the films directed by {person}", "Which films did {person} direct?"),
    ("the albums by {band}", "Which albums did {band} release?"),
    ("the cities in {country}", "Which cities are in {country}?"),
    ("the rivers in {country}", "Which rivers flow through {country}?"),
    ("the children of {person}", "Who are the children of {person}?"),
    ("the founders of {company}", "Who founded {company}?"),
    ("the players of {team}", "Who are the players of {team}?"),
    ("the former members of {band}", "Who are the former members of {band}?"),
    ("the moons of {planet}", "What are the moons of {planet}?"),
    ("the products of {company}", "What are the products of {company}?"),
    ("the universities in {city}", "Which universities are in {city}?"),
    ("the museums in {city}", "Which museums are in {city}?"),
    ("the mountains in {country}", "Which mountains are in {country}?"),
)
_SUPERLATIVES: dict[str, tuple[tuple[str, str, str], ...]] = {
    "countries": (("has the most people", "What is the population of each of #1?", "greatest"), ("is the largest", "What is the area of each of #1?", "greatest"), ("joined the EU first", "When did each of #1 join the EU?", "earliest")),
    "books": (("was published first", "When was each of #1 published?", "earliest"), ("is the longest", "How many pages does each of #1 have?", "greatest"), ("sold the most copies", "How many copies of each of #1 were sold?", "greatest")),
    "films": (("earned the most", "How much did each of #1 earn?", "greatest"), ("is the longest", "How long is each of #1?", "greatest"), ("came out last", "When did each of #1 come out?", "latest")),
    "albums": (("sold best", "How many copies of each of #1 were sold?", "greatest"), ("came out first", "When did each of #1 come out?", "earliest")),
    "cities": (("has the most people", "What is the population of each of #1?", "greatest"), ("is the oldest", "When was each of #1 founded?", "earliest")),
    "rivers": (("is the longest", "How long is each of #1?", "greatest"),),
    "children": (("was born last", "When was each of #1 born?", "latest"), ("lived longest", "How long did each of #1 live?", "greatest")),
    "founders": (("is the youngest", "When was each of #1 born?", "latest"), ("is the richest", "How rich is each of #1?", "greatest")),
    "players": (("scored the most goals", "How many goals did each of #1 score?", "greatest"), ("is the oldest", "How old is each of #1?", "greatest")),
    "former": (("left first", "When did each of #1 leave?", "earliest"),),
    "moons": (("is the largest", "What is the diameter of each of #1?", "greatest"), ("was discovered first", "When was each of #1 discovered?", "earliest")),
    "products": (("is the cheapest", "How much does each of #1 cost?", "lowest"), ("came out first", "When did each of #1 come out?", "earliest")),
    "universities": (("is the oldest", "When was each of #1 founded?", "earliest"), ("has the most students", "How many students does each of #1 have?", "greatest")),
    "museums": (("has the most visitors", "How many visitors does each of #1 have?", "greatest"), ("is the cheapest", "What does a ticket for each of #1 cost?", "lowest")),
    "mountains": (("is the highest", "How high is each of #1?", "greatest"),),
}  # fmt: skip
_CONDITIONS: dict[str, tuple[tuple[str, str], ...]] = {
    "countries": (("use the euro", "Which of #1 use the euro?"), ("are islands", "Which of #1 are islands?"), ("have a king or queen", "Which of #1 have a king or queen?"), ("have more than 50 million people", "Which of #1 have more than 50 million people?")),
    "books": (("became films", "Which of #1 became films?"), ("were published before 1950", "Which of #1 were published before 1950?"), ("won a prize", "Which of #1 won a prize?")),
    "films": (("won an Oscar", "Which of #1 won an Oscar?"), ("are longer than two hours", "Which of #1 are longer than two hours?"), ("were shot in black and white", "Which of #1 were shot in black and white?")),
    "albums": (("reached number one", "Which of #1 reached number one?"), ("came out after 1990", "Which of #1 came out after 1990?")),
    "cities": (("have a subway", "Which of #1 have a subway?"), ("have more than a million people", "Which of #1 have more than a million people?"), ("lie on the coast", "Which of #1 lie on the coast?")),
    "rivers": (("are longer than 500 km", "Which of #1 are longer than 500 km?"), ("flow into the sea", "Which of #1 flow into the sea?")),
    "moons": (("have an atmosphere", "Which of #1 have an atmosphere?"),),
    "universities": (("were founded before 1900", "Which of #1 were founded before 1900?"),),
    "mountains": (("are higher than 3000 m", "Which of #1 are higher than 3000 m?"), ("are volcanoes", "Which of #1 are volcanoes?")),
    "museums": (("are free", "Which of #1 are free?"), ("are open on Mondays", "Which of #1 are open on Mondays?")),
    "products": (("cost less than $100", "Which of #1 cost less than $100?"),),
    "players": (("come from abroad", "Which of #1 come from abroad?"), ("are older than 30", "Which of #1 are older than 30?")),
}  # fmt: skip


def of_a_set(rng: Random) -> Written:
    """The most of a set, or those of it that meet a condition, listed or counted."""
    while True:
        phrase, asked = rng.choice(_SETS)
        word = phrase.split()[1]
        kind = phrase[phrase.index("{") + 1 : phrase.index("}")]
        name = thing(rng, kind)
        phrase, asked = phrase.format(**{kind: name}), asked.format(**{kind: name})
        if rng.random() < 0.5:
            does, each, most = rng.choice(_SUPERLATIVES[word])
            question = rng.choice(
                [f"Which of {phrase} {does}?", f"Of {phrase}, which {does}?", f"Among {phrase}, which one {does}?"]
            )
            return Written(_said(rng, question), (asked, each, f"Which of #2 is the {most}?"))
        if word in _CONDITIONS:
            do, each = rng.choice(_CONDITIONS[word])
            if rng.random() < 0.5:
                return Written(_said(rng, f"How many of {phrase} {do}?"), (asked, each, "How many of #2 are there?"))
            return Written(_said(rng, f"Which of {phrase} {do}?"), (asked, each))


def of_three(rng: Random) -> Written:
    """The most of three named things."""
    kind, asked, most, words = rng.choice([
        ("country", "What is the population of {x}?", "greatest", "has the most people"), ("river", "How long is {x}?", "longest", "is the longest"),
        ("mountain", "How high is {x}?", "highest", "is the highest"), ("city", "What is the population of {x}?", "greatest", "is the biggest"),
        ("building", "How tall is {x}?", "tallest", "is the tallest"), ("film", "When did {x} come out?", "earliest", "came out first"),
        ("company", "When was {x} founded?", "earliest", "is the oldest"), ("animal", "How fast is a {x}?", "fastest", "is the fastest"),
        ("person", "When was {x} born?", "earliest", "was born first"), ("food", "How many calories are in {x}?", "greatest", "has the most calories"),
        ("matter", "What is the density of {x}?", "greatest", "is the densest"), ("planet", "What is the diameter of {x}?", "greatest", "is the largest"),
    ])  # fmt: skip
    three: list[str] = []
    while len(three) < 3:
        name = thing(rng, kind)
        if name not in three:
            three.append(name)
    a, b, c = three
    question = rng.choice(
        [
            f"Which {words}: {a}, {b} or {c}?",
            f"Of {a}, {b} and {c}, which {words}?",
            f"Which of {a}, {b} and {c} {words}?",
        ]
    )
    return Written(
        _said(rng, question), (*(asked.format(x=x) for x in three), f"Which of #1, #2 and #3 is the {most}?")
    )


def several_parts(rng: Random) -> Written:
    """Two or three facts about a thing, joined by "and"."""
    kind = rng.choice([kind for kind, found in ATTRIBUTES.items() if len(found) > 2 and kind != "animal"])
    name = thing(rng, kind)
    count = rng.choice([2, 2, 3]) if rng.random() < 0.7 else 2
    chosen = rng.sample(
        ATTRIBUTES[kind] + tuple(q for r in RELATIONS if kind in r.source for q in r.questions[:1]), count
    )
    plan = tuple(one.format(x=name) for one in chosen)
    it = {"person": "they"}.get(kind, "it")
    parts = [plan[0].rstrip("?")]
    for one, asked in zip(chosen[1:], plan[1:], strict=True):
        text = one.format(x=it) if rng.random() < 0.6 and it == "it" and "{x}'s" not in one else asked
        parts.append(text[0].lower() + text[1:].rstrip("?"))
    joined = (
        parts[0]
        + (", " if len(parts) > 2 else "")
        + (", ".join(parts[1:-1]) + ("," if len(parts) > 2 else ""))
        + f" and {parts[-1]}?"
    )
    return Written(joined.replace(",,", ","), plan)


BUILDERS = (
    chain,
    chain,
    chain,
    chain,
    comparison,
    comparison,
    difference,
    duration,
    bridge_comparison,
    of_a_set,
    of_three,
    several_parts,
)
