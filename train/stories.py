"""The structures of program-written word problems: comparing, shopping, sharing, travelling, ..."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from dnc_edge.train.words import (
    CONTAINERS,
    CROWDS,
    DAYS,
    FRIENDS,
    HABITS,
    HE,
    MONTHS,
    PARTS,
    PLACES,
    SHE,
    SYLLABLES,
    THINGS,
    TIMES,
    VERBS,
    WORDS,
    number_text,
    plural,
)


@dataclass(frozen=True)
class Step:
    subquestion: str
    working: str
    value: float


@dataclass
class Story:
    """What a builder fills: the sentences of the question, and the steps of plan and solution."""

    rng: Random
    sentences: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def person(self) -> tuple[str, str, str]:
        """A name not used yet, with its pronouns (she, her)."""
        while True:
            she = self.rng.random() < 0.5
            if self.rng.random() < 0.4:
                name = "".join(self.rng.choices(SYLLABLES, k=self.rng.randint(2, 3))).capitalize()
            else:
                name = self.rng.choice(SHE if she else HE)
            if name not in self.taken:
                self.taken.add(name)
                return name, "she" if she else "he", "her" if she else "his"

    def thing(self) -> str:
        while (thing := plural(self.rng.choice(THINGS))) in self.taken:
            pass
        self.taken.add(thing)
        return thing

    def say(self, *wordings: str) -> None:
        sentence = self.rng.choice(wordings)
        self.sentences.append(sentence[0].upper() + sentence[1:])

    def ask(self, wordings: str | Sequence[str], expression: str, value: float, unit: str = "") -> float:
        """One step: what is asked (in one of several wordings), and how it is worked out."""
        subquestion = wordings if isinstance(wordings, str) else self.rng.choice(wordings)
        money = "$" if unit == "$" else ""
        tail = "" if unit in ("$", "") else f" {unit}"
        working = f"{expression} = {money}<<{expression}={number_text(value)}>>{number_text(value)}{tail}."
        self.steps.append(Step(subquestion, working, value))
        return value


def compare(s: Story) -> None:
    """A has n; B has so many more, fewer, times; C compared with B; ask C, the total or a difference."""
    rng, things = s.rng, s.thing()
    past, base = rng.choice(VERBS)
    has = rng.random() < 0.5
    when = rng.choice(["", f" on {rng.choice(DAYS)}", f" in {rng.choice(MONTHS)}", f" at {rng.choice(PLACES)}"])
    when = "" if has else when
    people = [s.person()[0] for _ in range(rng.choice([2, 3, 3, 4]))]
    value: float = 12 * rng.randint(1, 12)
    verb = "has" if has else past
    facts, values = [f"{people[0]} {verb} {number_text(value)} {things}{when}."], [value]
    for before, who in pairwise(people):
        kind = rng.randrange(4)
        k = rng.randint(2, 5)
        if kind == 0:
            fact, sign, after = f"{TIMES[k]} as many {things} as {before}", "*", value * k
        elif kind == 1:
            k = rng.randint(2, 30)
            fact = rng.choice([f"{k} more {things} than {before}", f"{k} more than {before}"])
            sign, after = "+", value + k
        elif kind == 2 and value > 4:
            k = rng.randint(1, int(value) - 2)
            fact, sign, after = f"{k} {rng.choice(['fewer', 'less'])} {things} than {before}", "-", value - k
        else:
            k = next((k for k in (2, 3, 4, 5) if value % k == 0), 2)
            fact, sign, after = f"{PARTS[k]} as many {things} as {before}", "/", value / k
        facts.append(f"{who} {verb} {fact}.")
        asked = f"How many {things} does {who} have?" if has else f"How many {things} did {who} {base}{when}?"
        value = s.ask(asked, f"{number_text(value)}{sign}{k}", after, things)
        values.append(value)
    s.sentences.extend(facts if rng.random() < 0.7 else [*facts[1:], f"If {facts[0][:-1]}, "])
    ending = rng.randrange(3)
    if ending == 0:
        they = f"{people[0]} and {people[1]}" if len(people) == 2 else "they"
        joined = rng.choice(["in total", "altogether", "combined"])
        do = f"do {they} have" if has else f"did {they} {base}"
        s.ask(f"How many {things} {do} {joined}?", "+".join(map(number_text, values)), sum(values), things)
    elif ending == 1 and len(s.steps) > 1 and values[0] != values[-1]:
        high, low = (0, -1) if values[0] > values[-1] else (-1, 0)
        do = f"does {people[high]} have" if has else f"did {people[high]} {base}"
        difference = f"{number_text(values[high])}-{number_text(values[low])}"
        s.ask(f"How many more {things} {do} than {people[low]}?", difference, values[high] - values[low], things)


def shopping(s: Story) -> None:
    """Several things at a price each; the total, then the change or a discount."""
    rng = s.rng
    name, she, _ = s.person()
    parts, sums = [], []
    for _ in range(rng.choice([1, 2, 2, 3])):
        things, count, price = s.thing(), rng.randint(2, 12), rng.randint(1, 15)
        parts.append(f"{count} {things} " + rng.choice([f"for ${price} each", f"at ${price} each"]))
        asked = (f"How much did {name} spend on {things}?", f"How much did the {things} cost?")
        sums.append(s.ask(asked, f"{count}*{price}", count * price, "$"))
    basket = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
    s.say(f"{name} bought {basket}.", f"At {rng.choice(PLACES)}, {name} buys {basket}.", f"{name} buys {basket}.")
    total = sums[0]
    if len(sums) > 1:
        asked = (f"How much did {name} spend in total?", f"How much did {name} spend altogether?")
        total = s.ask(asked, "+".join(map(number_text, sums)), sum(sums), "$")
    ending = rng.randrange(4)
    if ending == 1 or len(s.steps) == 1:
        paid = int(total) + rng.randint(1, 40)
        s.say(f"{she} had ${paid}.", f"{she} paid with ${paid}.", f"If {name} started with ${paid},")
        asked = (f"How much money does {name} have left?", f"How much change did {name} get?")
        s.ask(asked, f"{paid}-{number_text(total)}", paid - total, "$")
    elif ending == 2 and total % 5 == 0:
        off = rng.choice([10, 20, 50])
        s.say(f"{she} got a discount of {off}% on everything.", f"The store gave {name} {off}% off.")
        less = s.ask("How much was the discount?", f"{number_text(total)}*{off}/100", total * off / 100, "$")
        s.ask(
            f"How much did {name} pay after the discount?",
            f"{number_text(total)}-{number_text(less)}",
            total - less,
            "$",
        )


def earning(s: Story) -> None:
    """So many a day, over days or weeks, given away or sold at a price, less costs."""
    rng, things = s.rng, s.thing()
    name, she, _ = s.person()
    does, base = rng.choice([("makes", "make"), ("sells", "sell"), ("bakes", "bake"), ("picks", "pick")])
    count, price, many = rng.randint(2, 20), rng.randint(2, 12), rng.randint(2, 9)
    unit = rng.choice(["day", "week", "hour"])
    time = f"in {many} {unit}s"
    s.say(f"{name} {does} {count} {things} every {unit}.", f"Each {unit}, {name} {does} {count} {things}.")
    s.say(f"{she} does this for {many} {unit}s.", f"{name} works for {many} {unit}s.")
    number = s.ask(f"How many {things} does {name} {base} {time}?", f"{count}*{many}", count * many, things)
    ending = rng.randrange(3)
    if ending == 0:
        given = rng.randint(1, int(number) - 1)
        s.say(f"{she} gives {given} of them away.", f"{she} gives {given} {things} to {rng.choice(FRIENDS)}.")
        asked = f"How many {things} does {name} have left after {many} {unit}s?"
        s.ask(asked, f"{number_text(number)}-{given}", number - given, things)
        return
    s.say(f"{she} sells each for ${price}.", f"{she} sells them for ${price} each.")
    asked_money = (f"How much money does {name} make {time}?", f"How much does {name} earn {time}?")
    money = s.ask(asked_money, f"{number_text(number)}*{price}", number * price, "$")
    if ending == 1:
        cost = rng.randint(1, int(money) - 1)
        s.say(f"the materials cost ${cost}.", f"{she} spends ${cost} on supplies.")
        s.ask(f"How much profit does {name} make?", f"{number_text(money)}-{cost}", money - cost, "$")


def remaining(s: Story) -> None:
    """A stock that shrinks and grows: given away, lost, used, bought."""
    rng, things = s.rng, s.thing()
    name, she, _ = s.person()
    stock: float = rng.randint(4, 30) * 4
    s.say(f"{name} had {number_text(stock)} {things}.", f"{name} starts with {number_text(stock)} {things}.")
    rounds = rng.sample(range(5), k=rng.choice([2, 3]))
    for kind in rounds:
        left = f"How many {things} does {name} have left?", f"How many {things} are left?"
        last = kind == rounds[-1]
        k = rng.randint(3, 40)
        if kind == 0 and stock > 3:
            other, k = s.person()[0], rng.randint(1, int(stock) - 2)
            s.say(f"{she} gave {k} of them to {other}.", f"{she} gives {k} {things} to {other}.")
            asked = left if last else f"How many {things} does {name} have after giving some to {other}?"
            stock = s.ask(asked, f"{number_text(stock)}-{k}", stock - k, things)
        elif kind == 1:
            day = rng.choice(DAYS)
            s.say(f"on {day} {she} bought {k} more.", f"then {she} got {k} more {things} on {day}.")
            asked = (
                f"How many {things} does {name} have now?" if last else f"How many {things} did {name} have on {day}?"
            )
            stock = s.ask(asked, f"{number_text(stock)}+{k}", stock + k, things)
        elif kind == 2 and stock % 2 == 0:
            s.say(f"{she} lost half of them.", f"{she} then sold half of the {things}.", f"half of the {things} broke.")
            asked = left if last else f"How many {things} remained after half of them were gone?"
            stock = s.ask(asked, f"{number_text(stock)}/2", stock / 2, things)
        elif kind == 3 and stock % 4 == 0:
            s.say(f"{she} used a quarter of the {things}.", f"{she} used 1/4 of the {things} that were left.")
            part = s.ask(f"How many {things} did {name} use?", f"{number_text(stock)}/4", stock / 4, things)
            asked = left if last else f"How many {things} were left after {name} used some?"
            stock = s.ask(asked, f"{number_text(stock)}-{number_text(part)}", stock - part, things)
        else:
            k, each, friends = rng.randint(2, 6), rng.randint(2, 9), rng.choice(FRIENDS)
            s.say(f"{WORDS[k]} {friends} each gave {name} {each} {things}.")
            got = s.ask(f"How many {things} did {name} get from the {friends}?", f"{k}*{each}", k * each, things)
            stock = s.ask(
                f"How many {things} does {name} have in total?", f"{number_text(stock)}+{got}", stock + got, things
            )


def groups(s: Story) -> None:
    """Containers with so many in each; some taken out; the rest shared or sold."""
    rng, things, box = s.rng, s.thing(), s.rng.choice(CONTAINERS)
    name, she, _ = s.person()
    many, each = rng.randint(2, 12), rng.randint(2, 12)
    s.say(
        f"{name} has {many} {plural(box)} with {each} {things} in each {box}.",
        f"There are {many} {plural(box)} of {things}, and each {box} holds {each} {things}.",
        f"{name} bought {many} {plural(box)} of {things}. Each {box} contains {each} {things}.",
    )
    asked = (f"How many {things} are there in total?", f"How many {things} are in the {plural(box)}?")
    total = s.ask(asked, f"{many}*{each}", many * each, things)
    if rng.random() < 0.5:
        bad = rng.randint(1, int(total) - 1)
        s.say(
            f"{bad} of the {things} are broken.", f"{name} throws {bad} of them away.", f"{bad} {things} were damaged."
        )
        asked = (f"How many {things} are left?", f"How many good {things} are there?")
        total = s.ask(asked, f"{number_text(total)}-{bad}", total - bad, things)
    people = next((k for k in range(9, 1, -1) if total % k == 0), 0)
    if people and rng.random() < 0.5:
        friends = rng.choice(FRIENDS)
        s.say(f"{she} shares them equally among {people} {friends}.", f"{people} {friends} share the {things} equally.")
        asked = (f"How many {things} does each of the {friends} get?", f"How many {things} did each get?")
        s.ask(asked, f"{number_text(total)}/{people}", total / people, things)
        return
    price = rng.randint(2, 9)
    s.say(f"each of the {things} is sold for ${price}.", f"{name} sells the {things} for ${price} each.")
    asked = (f"How much money does {name} make?", f"How much money did {name} get from selling the {things}?")
    s.ask(asked, f"{number_text(total)}*{price}", total * price, "$")


def shares(s: Story) -> None:
    """A crowd, a percentage of it, a fraction of that; how many do, how many do not."""
    rng = s.rng
    noun, where = rng.choice(CROWDS).split(" ", 1)
    total, percent = rng.randint(2, 20) * 20, rng.choice([10, 20, 25, 30, 40, 50, 60, 75])
    kind, other = rng.sample(HABITS, 2)
    s.say(f"there are {total} {noun} {where}.", f"{total} {noun} are {where}.")
    s.say(f"{percent}% of the {noun} {kind}.", f"of the {noun}, {percent}% {kind}.")
    first = s.ask(f"How many {noun} {kind}?", f"{total}*{percent}/100", total * percent / 100, noun)
    ending = rng.randrange(3)
    divisor = next((k for k in (2, 3, 4, 5) if first % k == 0), 0)
    if ending == 0 and divisor:
        s.say(f"{PARTS[divisor]} of the {noun} who {kind} also {other}.")
        asked = f"How many of the {noun} who {kind} also {other}?"
        second = s.ask(asked, f"{number_text(first)}/{divisor}", first / divisor, noun)
        if rng.random() < 0.5:
            asked = f"How many {noun} {kind} but do not {other}?".replace("do not are", "are not")
            s.ask(asked, f"{number_text(first)}-{number_text(second)}", first - second, noun)
    elif ending == 1:
        asked = f"How many {noun} do not {kind}?".replace("do not are", "are not")
        rest = s.ask(asked, f"{total}-{number_text(first)}", total - first, noun)
        if rest > first:
            asked = f"How many more {noun} do not {kind} than {kind}?".replace("do not are", "are not")
            s.ask(asked, f"{number_text(rest)}-{number_text(first)}", rest - first, noun)
    else:
        price = rng.randint(2, 9)
        s.say(f"each of those pays ${price}.", f"the {noun} who {kind} pay ${price} each.")
        s.ask(f"How much do the {noun} who {kind} pay in total?", f"{number_text(first)}*{price}", first * price, "$")


def ages(s: Story) -> None:
    """Ages: so much older, so many times as old; now, later, together."""
    rng = s.rng
    a, b, c = (s.person()[0] for _ in range(3))
    young, k, d = rng.randint(3, 15), rng.randint(2, 4), rng.randint(2, 20)
    s.say(f"{a} is {TIMES[k]} as old as {b}.", f"{a}'s age is {TIMES[k]} {b}'s age.")
    s.say(f"{c} is {d} years older than {a}.", f"{c} is older than {a} by {d} years.")
    s.say(f"{b} is {young} years old.", f"If {b} is {young} years old now,")
    old = s.ask((f"How old is {a}?", f"What is {a}'s age?"), f"{young}*{k}", young * k, "years")
    oldest = s.ask((f"How old is {c}?", f"What is {c}'s age?"), f"{number_text(old)}+{d}", old + d, "years")
    ending = rng.randrange(3)
    if ending == 0:
        later = rng.randint(2, 20)
        s.ask(f"How old will {c} be in {later} years?", f"{number_text(oldest)}+{later}", oldest + later, "years")
    elif ending == 1:
        asked = (f"What is the sum of the ages of {a}, {b} and {c}?", "What is the total of their ages?")
        s.ask(asked, f"{number_text(old)}+{young}+{number_text(oldest)}", old + young + oldest, "years")


def travel(s: Story) -> None:
    """Legs at a speed for some hours; the total, the rest, the cost of fuel."""
    rng = s.rng
    name, she, _ = s.person()
    does, base = rng.choice([("drives", "drive"), ("rides", "ride"), ("cycles", "cycle"), ("travels", "travel")])
    unit, legs = rng.choice(["miles", "kilometers"]), []
    parts = ["in the morning", "in the afternoon", "after lunch", "in the evening", f"on {rng.choice(DAYS)}"]
    for part in rng.sample(parts, rng.choice([2, 2, 3])):
        speed, hours = 5 * rng.randint(2, 14), rng.randint(2, 6)
        who = she if s.sentences else name
        s.say(
            f"{name} {does} for {hours} hours at {speed} {unit} per hour {part}.",
            f"{part}, {who} {does} {hours} hours at a speed of {speed} {unit} per hour.",
        )
        asked = (f"How far does {name} {base} {part}?", f"How many {unit} does {name} {base} {part}?")
        legs.append(s.ask(asked, f"{hours}*{speed}", hours * speed, unit))
    asked = (f"How far does {name} {base} in total?", f"How many {unit} does {name} {base} altogether?")
    total = s.ask(asked, "+".join(map(number_text, legs)), sum(legs), unit)
    ending = rng.randrange(3)
    if ending == 0:
        trip = int(total) + 5 * rng.randint(1, 30)
        s.say(f"the whole trip is {trip} {unit} long.")
        s.ask(f"How many {unit} are left?", f"{trip}-{number_text(total)}", trip - total, unit)
    elif ending == 1 and total % 10 == 0:
        s.say(f"the car uses a gallon of gas every 10 {unit}.", f"{name} needs 1 liter of gas for every 10 {unit}.")
        gas = s.ask(f"How much gas does {name} need?", f"{number_text(total)}/10", total / 10)
        price = rng.randint(2, 5)
        s.say(f"gas costs ${price}.")
        s.ask("How much does the gas cost?", f"{number_text(gas)}*{price}", gas * price, "$")


def wages(s: Story) -> None:
    """Hours on different days, pay per hour, a bonus or a wish."""
    rng = s.rng
    name, she, her = s.person()
    pay, hours = rng.randint(8, 25), []
    times = ["on weekdays", "on the weekend", "on Monday", "on Tuesday", "last week", "this week"]
    for day in rng.sample(times, 2):
        h = rng.randint(2, 9)
        who = she if s.sentences else name
        if day in ("on weekdays", "on the weekend"):
            many = 5 if day == "on weekdays" else 2
            s.say(f"{name} works {h} hours a day {day}.", f"{day}, {who} works {h} hours each day.")
            hours.append(s.ask(f"How many hours does {name} work {day}?", f"{h}*{many}", h * many, "hours"))
        else:
            s.say(f"{name} worked {h} hours {day}.", f"{day}, {name} worked for {h} hours.")
            hours.append(float(h))
    s.say(f"{she} earns ${pay} an hour.", f"{name} gets ${pay} per hour.", f"{her} pay is ${pay} per hour.")
    asked = (f"How many hours does {name} work in total?", f"How many hours did {name} work altogether?")
    total = s.ask(asked, "+".join(map(number_text, hours)), sum(hours), "hours")
    asked = (f"How much does {name} earn?", f"How much money does {name} make?")
    money = s.ask(asked, f"{number_text(total)}*{pay}", total * pay, "$")
    ending = rng.randrange(3)
    if ending == 0:
        extra = rng.randint(10, 90)
        s.say(f"{she} also got a bonus of ${extra}.")
        s.ask(f"How much does {name} earn with the bonus?", f"{number_text(money)}+{extra}", money + extra, "$")
    elif ending == 1:
        goal = int(money) + rng.randint(5, 200)
        s.say(f"{name} wants to buy a bicycle that costs ${goal}.", f"{she} is saving for a ${goal} phone.")
        asked = (f"How much more money does {name} need?", f"How much more does {she} need to save?")
        s.ask(asked, f"{goal}-{number_text(money)}", goal - money, "$")


def days(s: Story) -> None:
    """So many on one day or in one month, compared on the next; the total and its worth."""
    rng, things = s.rng, s.thing()
    name, she, _ = s.person()
    past, base = rng.choice([*VERBS, ("read", "read"), ("baked", "bake"), ("saw", "see")])
    names, word = (DAYS, "on") if rng.random() < 0.6 else (MONTHS, "in")
    first = rng.randrange(len(names) - 3)
    when = [f"{word} {day}" for day in names[first : first + rng.choice([2, 3, 3])]]
    value: float = 2 * rng.randint(3, 40)
    s.say(
        f"{name} {past} {number_text(value)} {things} {when[0]}.",
        f"{when[0]}, {name} {past} {number_text(value)} {things}.",
    )
    values = [value]
    for before, day in pairwise(when):
        asked = f"How many {things} did {name} {base} {day}?"
        if rng.random() < 0.5:
            k = rng.randint(2, 4)
            s.say(f"{day}, {she} {past} {TIMES[k]} as many as {before}.", f"{she} {past} {TIMES[k]} that number {day}.")
            value = s.ask(asked, f"{number_text(value)}*{k}", value * k, things)
        else:
            k = rng.randint(2, 20)
            s.say(
                f"{day}, {she} {past} {k} more than {before}.", f"{she} {past} {k} more {things} {day} than {before}."
            )
            value = s.ask(asked, f"{number_text(value)}+{k}", value + k, things)
        values.append(value)
    did = f"How many {things} did {name} {base}"
    span = f"over the {WORDS[len(when)]} {'days' if names is DAYS else 'months'}"
    asked_all = (f"{did} in total?", f"{did} altogether?", f"{did} {span}?")
    total = s.ask(asked_all, "+".join(map(number_text, values)), sum(values), things)
    if rng.random() < 0.3:
        price = rng.randint(2, 9)
        s.say(f"each costs ${price}.", f"{she} got ${price} for each of the {things}.")
        s.ask(f"How much are all the {things} worth?", f"{number_text(total)}*{price}", total * price, "$")


def one_step(s: Story) -> None:
    """One operation: nothing to decompose."""
    rng, things = s.rng, s.thing()
    name, she, _ = s.person()
    a, b = rng.randint(2, 40), rng.randint(2, 20)
    kind = rng.randrange(4)
    if kind == 0:
        s.say(f"{name} has {a} {things} and gets {b} more.", f"{name} had {a} {things}. Then {she} found {b} more.")
        s.ask(f"How many {things} does {name} have now?", f"{a}+{b}", a + b, things)
    elif kind == 1:
        s.say(f"{name} has {a + b} {things} but gives away {b}.", f"of {a + b} {things}, {name} took {b}.")
        s.ask(f"How many {things} are left?", f"{a + b}-{b}", a, things)
    elif kind == 2:
        box = rng.choice(CONTAINERS)
        s.say(f"{name} has {b} {plural(box)} with {a} {things} each.", f"{b} {plural(box)} hold {a} {things} each.")
        s.ask(f"How many {things} are there in all?", f"{b}*{a}", a * b, things)
    else:
        s.say(f"{name} shares {a * b} {things} equally among {b} {rng.choice(FRIENDS)}.")
        s.ask(f"How many {things} does each get?", f"{a * b}/{b}", a, things)


BUILDERS: tuple[Callable[[Story], None], ...] = (
    compare, compare, shopping, earning, remaining, remaining, groups, shares, ages, travel, wages, days, one_step,
)  # fmt: skip
