"""Short passages of our own with a question each: several steps over the passage, or a look-up that is left whole."""

from __future__ import annotations

from random import Random

from dnc_edge.train.written import names
from dnc_edge.train.written.question import Written


def chronicle(rng: Random) -> Written:
    """What happened to a building, a club or a firm, year by year."""
    place = names.made_up_place(rng)
    what = rng.choice(
        [
            "mill",
            "bridge",
            "school",
            "theater",
            "harbor",
            "lighthouse",
            "railway",
            "library",
            "brewery",
            "museum",
            "castle",
        ]
    )
    events = rng.sample([("was opened", "opened", "opening"), ("burned down", "burn down", "fire"), ("was rebuilt", "rebuilt", "rebuilding"), ("was sold", "sold", "sale"),
                         ("was closed", "closed", "closure"), ("was extended", "extended", "extension"), ("was flooded", "flooded", "flood"), ("won a prize", "win a prize", "prize")], 4)  # fmt: skip
    years = sorted(rng.sample(range(1720, 2015), 4))
    visitors = [rng.randint(20, 900) * 10 for _ in range(2)]
    people = [names.made_up_person(rng) for _ in range(2)]
    lines = [f"The {what} of {place} {past} in {year}" for (past, _, _), year in zip(events, years, strict=True)]
    context = f"{lines[0]} under {people[0]}. {lines[1].replace(f'The {what} of {place}', 'It')}, and {lines[2].replace(f'The {what} of {place}', 'it')} by {people[1]}. "
    context += f"{lines[3].replace(f'The {what} of {place}', 'It')}. It had {visitors[0]} visitors in its first year and {visitors[1]} in its last one."
    i, j = sorted(rng.sample(range(4), 2))

    def when(k: int) -> str:
        base = events[k][1]
        helper = "did" if base in ("burn down", "win a prize") else "was"
        return f"In which year {helper} the {what} {base}?"

    form = rng.randrange(5)
    if form == 0:
        question = rng.choice(
            [
                f"How many years passed between the {events[i][2]} and the {events[j][2]} of the {what}?",
                f"How many years after the {events[i][2]} came the {events[j][2]}?",
            ]
        )
        return Written(question, (when(i), when(j), "What is #2 minus #1?"), context)
    if form == 1:
        question = f"Which came first, the {events[j][2]} or the {events[i][2]}?"
        return Written(question, (when(j), when(i), "Which is earlier, #1 or #2?"), context)
    if form == 2:
        question = f"How many {'more' if visitors[0] > visitors[1] else 'fewer'} visitors came in the first year than in the last one?"
        first, last = "How many visitors came in the first year?", "How many visitors came in the last year?"
        return Written(
            question,
            (first, last, "What is #1 minus #2?" if visitors[0] > visitors[1] else "What is #2 minus #1?"),
            context,
        )
    if form == 3:
        return Written(when(i), (), context)
    return Written(
        rng.choice(
            [
                f"Under whom was the {what} {events[0][1]}?"
                if events[0][0].startswith("was")
                else f"Where is the {what}?",
                f"How many visitors did the {what} have in its first year?",
            ]
        ),
        (),
        context,
    )


def match(rng: Random) -> Written:
    """A game with scores by quarter."""
    a, b = rng.sample(
        [
            "Otters",
            "Herons",
            "Falcons",
            "Bears",
            "Wolves",
            "Comets",
            "Pilots",
            "Miners",
            "Sharks",
            "Lions",
            "Raiders",
            "Foxes",
        ],
        2,
    )
    scorers = [names.made_up_person(rng) for _ in range(3)]
    yards = rng.sample(range(2, 70), 4)
    context = (
        f"The {a} hosted the {b}. In the first quarter, {scorers[0]} of the {a} scored on a {yards[0]}-yard run. In the second quarter, the {b} answered with a "
        f"{yards[1]}-yard field goal by {scorers[1]}. In the third quarter, {scorers[0]} kicked a {yards[2]}-yard field goal, and in the fourth, {scorers[2]} "
        f"caught a {yards[3]}-yard pass for the {b}."
    )
    form = rng.randrange(5)
    if form == 0:
        plan = (
            f"How long was the field goal of {scorers[0]}?",
            f"How long was the field goal of {scorers[1]}?",
            "What is the difference between #1 and #2?",
        )
        return Written(
            f"How many yards was the difference between the field goals of {scorers[0]} and {scorers[1]}?",
            plan,
            context,
        )
    if form == 1:
        return Written(
            "How many yards were all the field goals together?",
            ("How long was each field goal?", "What is the sum of #1?"),
            context,
        )
    if form == 2:
        plan = (
            f"How many times did the {a} score?",
            f"How many times did the {b} score?",
            "Which is greater, #1 or #2?",
        )
        return Written(f"Which team scored more often, the {a} or the {b}?", plan, context)
    if form == 3:
        plan = ("How long was each score?", "Which of #1 is the longest?", "Who made #2?")
        return Written("Who made the longest score?", plan, context)
    return Written(
        rng.choice(
            [
                f"Who caught a pass for the {b}?",
                f"In which quarter did {scorers[2]} score?",
                f"How long was the run of {scorers[0]}?",
                f"Who hosted the {b}?",
            ]
        ),
        (),
        context,
    )


def census(rng: Random) -> Written:
    """Shares and counts of a place."""
    place, year = names.made_up_place(rng), rng.randint(1990, 2020)
    people, households = rng.randint(5, 900) * 100, rng.randint(2, 90) * 50
    groups = rng.sample(["farmers", "teachers", "miners", "sailors", "students", "nurses", "bakers", "retired"], 3)
    shares = sorted(rng.sample(range(3, 40), 3), reverse=True)
    context = (
        f"As of the census of {year}, there were {people:,} people and {households:,} households in {place}. Of the people, {shares[0]}% were {groups[0]}, {shares[1]}% were "
        f"{groups[1]} and {shares[2]}% were {groups[2]}. The median income was ${rng.randint(20, 80)},{rng.randint(100, 999)} for men and ${rng.randint(20, 80)},{rng.randint(100, 999)} for women."
    )
    i, j = rng.sample(range(3), 2)
    i, j = min(i, j), max(i, j)
    form = rng.randrange(5)
    if form == 0:
        plan = (
            f"What percentage of the people were {groups[i]}?",
            f"What percentage of the people were {groups[j]}?",
            "What is #1 minus #2?",
        )
        return Written(f"How many percent more of the people were {groups[i]} than {groups[j]}?", plan, context)
    if form == 1:
        plan = (
            "What was the median income for men?",
            "What was the median income for women?",
            "What is the difference between #1 and #2?",
        )
        return Written("How far apart were the median incomes of men and women?", plan, context)
    if form == 2:
        return Written(
            f"How many percent of the people were not {groups[i]}?",
            (f"What percentage of the people were {groups[i]}?", "What is 100 minus #1?"),
            context,
        )
    if form == 3:
        plan = (
            f"How many people were there in {place}?",
            f"How many households were there in {place}?",
            "What is #1 divided by #2?",
        )
        return Written(f"How many people lived in a household of {place} on average?", plan, context)
    return Written(
        rng.choice(
            [
                f"How many households were there in {place}?",
                f"What share of the people were {groups[i]}?",
                "In which year was the census?",
                f"How many people lived in {place}?",
            ]
        ),
        (),
        context,
    )


BUILDERS = (chronicle, match, census)
