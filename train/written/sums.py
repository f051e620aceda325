"""Problems with numbers beyond shopping and sharing: percentages, interest, units, speeds, areas, averages, tables."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from dnc_edge.train.stories import Story
from dnc_edge.train.words import DAYS, MONTHS, plural
from dnc_edge.train.written.question import Written


def interest(s: Story) -> list[str]:
    rng, (name, _she, _her) = s.rng, s.person()
    money, rate, years = rng.randint(2, 90) * 100, rng.randint(1, 12), rng.randint(2, 10)
    verb = rng.choice(["puts", "invests", "deposits", "saves"])
    s.say(f"{name} {verb} ${money} in {rng.choice(['a bank account', 'an account', 'a savings plan'])} at {rate}% simple interest a year.",
          f"{name} borrows ${money} at {rate}% simple interest per year.")  # fmt: skip
    asked = [f"How much interest does {name} get each year?", f"How much interest does {name} get in {years} years?"]
    if "borrows" in s.sentences[0]:
        asked = [
            f"How much interest does {name} pay each year?",
            f"How much interest does {name} pay in {years} years?",
        ]
        return [*asked, f"How much does {name} have to pay back after {years} years?"] if rng.random() < 0.7 else asked
    return [*asked, f"How much money does {name} have after {years} years?"] if rng.random() < 0.7 else asked


def discount(s: Story) -> list[str]:
    rng, thing = s.rng, s.thing()
    thing = rng.choice(
        ["jacket", "laptop", "bike", "sofa", "phone", "pair of shoes", "camera", "desk", thing.rstrip("s")]
    )
    price, off, tax = rng.randint(2, 80) * 10, rng.choice([5, 10, 15, 20, 25, 30, 40]), rng.choice([5, 6, 8, 10, 19])
    s.say(
        f"A {thing} costs ${price}. It is {off}% off.",
        f"A {thing} that cost ${price} is reduced by {off}%.",
        f"The price of a {thing} is ${price}, with a discount of {off}%.",
    )
    plan = ["How much is the discount?", f"What is the price of the {thing} after the discount?"]
    if rng.random() < 0.6:
        s.say(f"Sales tax is {tax}%.", f"{tax}% tax is added to the reduced price.", f"You also pay {tax}% tax.")
        plan += ["How much is the tax?", f"How much does the {thing} cost in total?"]
    return plan


def growth(s: Story) -> list[str]:
    rng = s.rng
    what, where = rng.choice(
        [
            ("people", "a town"),
            ("students", "a school"),
            ("members", "a club"),
            ("birds", "a colony"),
            ("customers", "a shop"),
            ("trees", "an orchard"),
        ]
    )
    start, up, down = rng.randint(2, 90) * 100, rng.choice([5, 10, 20, 25, 50]), rng.choice([5, 10, 20])
    first, second = rng.choice(
        [("in the first year", "in the second year"), ("in spring", "in autumn"), ("last year", "this year")]
    )
    s.say(f"There are {start} {what} in {where}.", f"{where} has {start} {what}.")
    s.say(
        f"The number grows by {up}% {first} and falls by {down}% {second}.",
        f"{first} it grows by {up}%, {second} it shrinks by {down}%.",
    )
    return [f"How many {what} are there after the increase?", f"How many {what} are there after the decrease?"]


def share_of(s: Story) -> list[str]:
    rng = s.rng
    total, part, of_part = rng.randint(2, 40) * 20, rng.choice([20, 25, 40, 50, 60, 75]), rng.choice([10, 20, 25, 50])
    what, first, second = rng.choice([("students", "play an instrument", "play the violin"), ("employees", "come by bike", "have an electric bike"), ("guests", "are children", "are under five"),
                                      ("voters", "voted", "voted by mail"), ("flowers", "are roses", "are red roses"), ("books", "are novels", "are crime novels")])  # fmt: skip
    s.say(f"Of {total} {what}, {part}% {first}.", f"There are {total} {what}. {part}% of them {first}.")
    s.say(f"{of_part}% of those {second}.", f"Of these, {of_part}% {second}.")
    return [f"How many {what} {first}?", f"How many {what} {second}?"]


def travel(s: Story) -> list[str]:
    rng, (name, she, her) = s.rng, s.person()
    by = rng.choice(["drives", "cycles", "walks", "rides", "runs", "sails"])
    speed, hours, speed2, hours2 = rng.randint(3, 90), rng.randint(2, 6), rng.randint(3, 90), rng.randint(1, 5)
    s.say(
        f"{name} {by} for {hours} hours at {speed} km/h.", f"For {hours} hours {name} {by} at {speed} miles per hour."
    )
    unit = "km" if "km/h" in s.sentences[0] else "miles"
    form = rng.randrange(3)
    if form == 0:
        s.say(f"Then {she} goes on for {hours2} hours at {speed2} {'km/h' if unit == 'km' else 'miles per hour'}.")
        return [
            f"How far does {name} go in the first {hours} hours?",
            f"How far does {name} go in the next {hours2} hours?",
            f"How far does {name} go in total?",
        ]
    if form == 1:
        total = speed * hours + rng.randint(1, 9) * 10
        s.say(f"The whole way is {total} {unit}.", f"{her.capitalize()} goal is {total} {unit} away.")
        return [f"How far does {name} go in {hours} hours?", f"How many {unit} are left?"]
    s.say(f"{she} takes a break of {rng.randint(10, 50)} minutes and comes back the same way at half the speed.")
    return [f"How far does {name} go?", "How fast is the way back?", f"How long does the way back take {name}?"]


def meeting(s: Story) -> list[str]:
    rng = s.rng
    one, two = rng.sample(["train", "car", "bus", "truck", "cyclist", "boat", "plane"], 2)
    fast, slow, apart = rng.randint(50, 120), rng.randint(10, 49), rng.randint(2, 30) * 20
    if rng.random() < 0.5:
        s.say(f"A {one} and a {two} start {apart} km apart and go towards each other at {fast} km/h and {slow} km/h.")
        return ["How fast do they come closer to each other?", "After how many hours do they meet?"]
    s.say(f"A {two} leaves at {slow} km/h. {rng.randint(1, 4)} hours later a {one} follows at {fast} km/h.")
    return [
        f"How far ahead is the {two} when the {one} starts?",
        f"How much faster is the {one} than the {two}?",
        f"How long does the {one} need to catch up?",
    ]


def area(s: Story) -> list[str]:
    rng = s.rng
    what, unit = rng.choice(
        [("garden", "m"), ("room", "feet"), ("field", "m"), ("wall", "m"), ("yard", "feet"), ("pool", "m")]
    )
    length, width, price = rng.randint(4, 60), rng.randint(2, 40), rng.randint(2, 30)
    s.say(
        f"A rectangular {what} is {length} {unit} long and {width} {unit} wide.",
        f"A {what} measures {length} {unit} by {width} {unit}.",
    )
    form = rng.randrange(3)
    if form == 0:
        s.say(f"A fence costs ${price} per {'meter' if unit == 'm' else 'foot'}.")
        return [f"What is the perimeter of the {what}?", f"How much does a fence around the {what} cost?"]
    if form == 1:
        s.say(
            f"One bag of seed covers {rng.randint(5, 40)} square {unit} and costs ${price}.",
            f"One can of paint covers {rng.randint(5, 40)} square {unit} and costs ${price}.",
        )
        item = "bags" if "bag" in s.sentences[-1] else "cans"
        return [f"What is the area of the {what}?", f"How many {item} are needed?", f"How much do the {item} cost?"]
    s.say(f"A path of {rng.randint(1, 3)} {unit} runs along all sides inside it.")
    return [f"What is the area of the {what}?", "What is the area inside the path?", "What is the area of the path?"]


def average(s: Story) -> list[str]:
    rng, (name, she, _her) = s.rng, s.person()
    scores = [rng.randint(50, 100) for _ in range(rng.choice([3, 4, 4]))]
    listed = ", ".join(map(str, scores[:-1])) + f" and {scores[-1]}"
    s.say(f"{name} scored {listed} on {len(scores)} tests.", f"{name}'s scores were {listed}.")
    if rng.random() < 0.5:
        return ["What is the sum of the scores?", f"What is {name}'s average score?"]
    s.say(f"{she} wants an average of {rng.randint(75, 95)} after one more test.")
    return [
        "What is the sum of the scores so far?",
        f"What must all {len(scores) + 1} scores add up to?",
        f"What does {name} need on the next test?",
    ]


def clock(s: Story) -> list[str]:
    rng, (name, _she, _her) = s.rng, s.person()
    hour, minute = rng.randint(6, 9), rng.choice(["00", "15", "30", "45", "10"])
    tasks = rng.sample([("showers", "showering"), ("eats breakfast", "breakfast"), ("walks the dog", "walking the dog"), ("reads the paper", "reading"), ("drives to work", "driving"), ("packs", "packing"), ("cleans up", "cleaning")], rng.choice([2, 3]))  # fmt: skip
    parts = [f"{does} for {rng.randint(5, 55)} minutes" for does, _ in tasks]
    s.say(f"{name} gets up at {hour}:{minute}, then {', '.join(parts[:-1])} and {parts[-1]}.")
    plan = [f"How many minutes does {name} need in all?", f"What time is it when {name} is done?"]
    if rng.random() < 0.4:
        s.say(f"The bus leaves at {hour + 3}:00.")
        plan.append("How many minutes are left until the bus leaves?")
    return plan


def dates(s: Story) -> list[str]:
    rng, (name, _she, _her) = s.rng, s.person()
    month, day = rng.choice(MONTHS), rng.randint(1, 27)
    a, b = rng.randint(5, 60), rng.randint(2, 12)
    s.say(
        f"{name} starts a project on {month} {day}. It takes {a} days, then {b} weeks of testing.",
        f"On {month} {day}, {name} begins a course of {b} weeks, after a break of {a} days another of {b} weeks.",
    )
    if "project" in s.sentences[0]:
        return [
            "How many days does the testing take?",
            "How many days does it take in total?",
            "On which date is the project done?",
        ]
    return [
        "How many days do both courses take?",
        "How many days is it with the break?",
        "On which date does the second course end?",
    ]


def units(s: Story) -> list[str]:
    rng, (name, she, _her) = s.rng, s.person()
    big, small, factor = rng.choice([("liters", "milliliters", 1000), ("kilograms", "grams", 1000), ("meters", "centimeters", 100), ("hours", "minutes", 60), ("feet", "inches", 12), ("gallons", "quarts", 4), ("dozens", "eggs", 12), ("yards", "feet", 3)])  # fmt: skip
    amount, each = rng.randint(2, 20), rng.randint(2, 9) * max(1, factor // 20)
    thing = {
        "liters": "glasses",
        "kilograms": "portions",
        "meters": "pieces",
        "hours": "sessions",
        "feet": "strips",
        "gallons": "jars",
        "dozens": "cakes",
        "yards": "boards",
    }[big]
    s.say(
        f"{name} has {amount} {big}. Each of the {thing} takes {each} {small}.",
        f"{amount} {big} are split into {thing} of {each} {small}.",
    )
    plan = [f"How many {small} are {amount} {big}?", f"How many {thing} can {name} make?"]
    if rng.random() < 0.5:
        s.say(f"{she} sells the {thing} at ${rng.randint(2, 9)} each.")
        plan.append(f"How much money does {name} make?")
    return plan


def rates(s: Story) -> list[str]:
    rng, thing = s.rng, s.thing()
    one, two = s.person()[0], s.person()[0]
    a, b, hours = rng.randint(3, 30), rng.randint(3, 30), rng.randint(2, 9)
    s.say(f"{one} makes {a} {thing} an hour and {two} makes {b}.", f"{one} packs {a} {thing} per hour, {two} {b}.")
    do = "make" if "makes" in s.sentences[0] else "pack"
    if rng.random() < 0.5:
        s.say(f"Together they have to {do} {(a + b) * hours} {thing}.")
        return [f"How many {thing} do they {do} together in an hour?", "How many hours do they need?"]
    s.say(f"They work for {hours} hours.")
    return [
        f"How many {thing} does {one} {do}?",
        f"How many {thing} does {two} {do}?",
        f"How many {thing} do they {do} together?",
    ]


def table(s: Story) -> list[str]:
    """A small table in the text, then an order or a comparison."""
    rng, (name, she, _her) = s.rng, s.person()
    items = [s.thing().rstrip("s") for _ in range(rng.choice([3, 4]))]
    if rng.random() < 0.5:
        prices = {item: rng.randint(1, 30) for item in items}
        form = rng.randrange(3)
        if form == 0:
            s.sentences.append("Prices: " + ", ".join(f"{item} ${price}" for item, price in prices.items()) + ".")
        elif form == 1:
            s.sentences.append(
                "item | price\n" + "\n".join(f"{item} | ${price}" for item, price in prices.items()) + "\n"
            )
        else:
            s.sentences.append(
                "| item | price |\n|---|---|\n"
                + "\n".join(f"| {item} | {price} |" for item, price in prices.items())
                + "\n"
            )
        first, second = items[:2]
        n, m, paid = rng.randint(2, 6), rng.randint(2, 6), rng.choice([50, 100, 200, 500])
        s.say(f"{name} buys {n} {plural(first)} and {m} {plural(second)}.")
        plan = [
            f"How much do the {plural(first)} cost?",
            f"How much do the {plural(second)} cost?",
            f"How much does {name} pay in total?",
        ]
        if rng.random() < 0.6:
            s.say(f"{she} pays with ${paid}.")
            plan.append(f"How much change does {name} get?")
        return plan
    days = DAYS[: rng.choice([3, 4, 5])]
    what = rng.choice(["visitors", "sales", "steps", "calls", "orders", "tickets"])
    counts = {day: rng.randint(10, 400) for day in days}
    if rng.random() < 0.5:
        s.sentences.append(
            f"{what.capitalize()} by day: " + "; ".join(f"{day}: {count}" for day, count in counts.items()) + "."
        )
    else:
        s.sentences.append(f"day, {what}\n" + "\n".join(f"{day}, {count}" for day, count in counts.items()) + "\n")
    form = rng.randrange(3)
    if form == 0:
        return [f"How many {what} were there in all?", f"What is the average number of {what} a day?"]
    if form == 1:
        return [
            f"What is the highest number of {what}?",
            f"What is the lowest number of {what}?",
            f"How many more {what} were there on the best day than on the worst day?",
        ]
    return [
        f"How many {what} were there on {days[0]} and {days[1]} together?",
        f"How many {what} were there in all?",
        f"What percentage of the {what} came on {days[0]} and {days[1]}?",
    ]


def ratio(s: Story) -> list[str]:
    rng = s.rng
    one, two, what = rng.choice(
        [
            ("boys", "girls", "children"),
            ("cats", "dogs", "animals"),
            ("red", "blue", "marbles"),
            ("adults", "children", "visitors"),
        ]
    )
    a, b = rng.randint(2, 7), rng.randint(2, 7)
    total = (a + b) * rng.randint(3, 30)
    s.say(
        f"The ratio of {one} to {two} is {a} to {b}, and there are {total} {what}.",
        f"There are {total} {what}, {a} {one} for every {b} {two}.",
    )
    named = f"{one} {what}" if what == "marbles" else one
    return ["How many parts are there in all?", f"How many {what} are in one part?", f"How many {named} are there?"]


def ages(s: Story) -> list[str]:
    rng, one, two, three = s.rng, s.person()[0], s.person()[0], s.person()[0]
    a, k, n = rng.randint(4, 40), rng.choice(["twice", "three times", "half"]), rng.randint(2, 12)
    s.say(f"{one} is {a * 2} years old. {two} is {k} as old as {one}. {three} is {n} years younger than {two}.")
    plan = [f"How old is {two}?", f"How old is {three}?"]
    form = rng.randrange(3)
    if form == 0:
        plan.append(f"What is the sum of the ages of {one}, {two} and {three}?")
    elif form == 1:
        plan.append(f"How old will {three} be in {n} years?")
    return plan


def recipe(s: Story) -> list[str]:
    rng, (name, _she, _her) = s.rng, s.person()
    cups, serves, wanted = rng.randint(1, 6), rng.choice([2, 4, 6]), rng.choice([8, 10, 12, 20, 30])
    food, dish = rng.choice(
        [("flour", "pancakes"), ("rice", "risotto"), ("sugar", "cookies"), ("milk", "pudding"), ("beans", "chili")]
    )
    price = rng.randint(1, 6)
    s.say(
        f"A recipe for {serves} people needs {cups} cups of {food}. {name} cooks {dish} for {wanted} people.",
        f"{name} makes {dish} for {wanted}. For {serves} people you need {cups} cups of {food}.",
    )
    plan = [f"How many cups of {food} are needed for one person?", f"How many cups of {food} does {name} need?"]
    if rng.random() < 0.5:
        s.say(f"A cup of {food} costs ${price}.")
        plan.append(f"How much does the {food} cost?")
    return plan


def savings(s: Story) -> list[str]:
    rng, (name, she, her) = s.rng, s.person()
    income, parts, goal = rng.randint(10, 60) * 100, rng.choice([10, 20, 25]), rng.randint(2, 40) * 500
    rent, food = income // 3, income // 6
    s.say(f"{name} earns ${income} a month and pays ${rent} for rent and ${food} for food.")
    if rng.random() < 0.5:
        s.say(f"{she} saves half of the rest and wants to buy a car for ${goal}.")
        return [
            f"How much does {name} spend on rent and food?",
            "How much money is left each month?",
            f"How much does {name} save each month?",
            f"How many months does {name} need to save for the car?",
        ]
    s.say(f"{parts}% of {her} income goes to taxes.")
    return [
        f"How much does {name} pay in taxes?",
        f"How much does {name} spend in total?",
        f"How much does {name} have left each month?",
    ]


BUILDERS: tuple[Callable[[Story], list[str]], ...] = (
    interest, discount, growth, share_of, travel, meeting, area, average, clock, dates, units, rates, table, table, ratio, ages, recipe, savings,
)  # fmt: skip


def problem(rng: Random) -> Written:
    """One problem with its plan: two to four sub-questions, the last one asked."""
    story = Story(rng)
    plan = rng.choice(BUILDERS)(story)
    question = " ".join([*story.sentences, plan[-1]]).replace("\n ", "\n")
    return Written(question, tuple(plan))
