"""Questions that are best left whole: how-to, code, writing, opinions, trips, other languages, unclear references, ..."""

from __future__ import annotations

from random import Random

from dnc_edge.train.words import HE, SHE
from dnc_edge.train.written import facts
from dnc_edge.train.written.names import _split as split
from dnc_edge.train.written.question import Written

TASKS = split("""
bake sourdough bread, change a flat tire, tie a bow tie, fix a leaking faucet, boil eggs, poach an egg, remove a wine stain,
sharpen a kitchen knife, plant tomatoes, prune roses, clean a cast iron pan, paint a bedroom, hang a picture, unclog a drain,
replace a light switch, ride a unicycle, learn to juggle, fold a fitted sheet, iron a shirt, sew a button, knit a scarf,
make pancakes without eggs, cook rice, brew coffee in a French press, make kimchi, grill salmon, carve a turkey, make jam,
start a compost heap, train a puppy, bathe a cat, set up a home router, back up my phone, reset my password, speed up my laptop,
install Ubuntu next to Windows, convert a video to mp3, make a budget, save for retirement, write a resume, ask for a raise,
prepare for a job interview, negotiate rent, file my taxes, open a bank account, apply for a visa, pack for a ski trip,
fall asleep faster, stop biting my nails, improve my posture, stretch before running, train for a marathon, do a push-up,
meditate, take better photos, play the C major chord, tune a guitar, memorize a speech, learn Spanish quickly, read faster,
build a bookshelf, lay bricks, pitch a tent, light a campfire, find north without a compass, start a podcast, edit a video,
descale a kettle, get rid of ants, keep bread fresh, store potatoes, whip cream by hand, temper chocolate, peel garlic,
wash a down jacket, patch a bicycle tube, jump-start a car, check the oil, parallel park, wax skis, wrap a present
""")
CODE = split("""
reverses a string, checks if a number is prime, merges two sorted lists, counts the words of a file, parses a CSV file,
downloads a web page, sends an email, sorts a dictionary by value, removes duplicates from a list, computes Fibonacci numbers,
finds the longest word in a sentence, validates an email address, draws a bar chart, resizes all images in a folder,
implements a binary search tree, solves a sudoku, converts Celsius to Fahrenheit, generates a random password,
reads JSON from an API, connects to a Postgres database, plays tic-tac-toe, flattens a nested list, zips a folder,
watches a directory for changes, renames files by date, implements a queue with two stacks, rotates a matrix,
scrapes headlines from a news site, calculates the median, makes a countdown timer, caches results of a slow call
""")
LANGUAGES_CODE = split(
    "Python, JavaScript, Rust, Go, Java, C, C++, Bash, SQL, TypeScript, Ruby, R, Haskell, PowerShell, Swift, PHP, Kotlin"
)
WRITING = split("""
a poem about autumn, a limerick about a cat, a haiku about snow, a birthday card for my aunt, a thank-you note to my teacher,
an apology to a customer, a cover letter for a nursing job, a short story about a lighthouse keeper, a wedding toast,
a resignation letter, a product description for a mug, a slogan for a bakery, a tweet about our launch, a bedtime story,
an email asking for a day off, a letter to my landlord about the heating, a press release about a new park, a song about rain,
a farewell message to a colleague, a eulogy for my grandfather, a blog post about urban gardening, a job ad for a baker,
a reference for a former student, a complaint about a late parcel, an invitation to a housewarming, a bio for my website,
a speech for graduation, a dialogue between two robots, a motivational quote, a toast for a retirement, a love letter,
a summary of the water cycle for children, an outline of an essay about recycling, a recipe for vegan lasagna, a riddle
""")
TONES = split(
    "short, funny, formal, polite, friendly, two-line, 100-word, heartfelt, rhyming, simple, professional, one-page, dramatic"
)
TOPICS = split("""
photosynthesis, inflation, black holes, the water cycle, gravity, machine learning, blockchain, democracy, evolution, the immune system,
supply and demand, plate tectonics, quantum computing, compound interest, the French Revolution, vaccines, DNA, opportunity cost,
the offside rule, existentialism, stoicism, the greenhouse effect, how planes fly, how batteries work, how tides form, osmosis,
how a microwave heats food, how GPS works, why the sky is blue, why leaves change color, how vaccines work, what a hedge fund does,
recursion, object-oriented programming, the Krebs cycle, relativity, jazz, impressionism, minimalism, the stock market, a mortgage,
the difference between weather and climate, the difference between a virus and a bacterium, the difference between HTTP and HTTPS,
the difference between affect and effect, the placebo effect, game theory, natural selection, cloud computing, the electoral college
""")
TRIPS = split("""
a weekend in Lisbon, three days in Rome, a week in Japan, a road trip through Scotland, a honeymoon in Greece, a day in Paris with kids,
ten days in Vietnam, a hiking trip in the Alps, a city break in Vienna, two weeks in Peru, a cheap holiday by the sea, a birthday party for 20 people,
a study schedule for my finals, a meal plan for a week, a workout plan for beginners, a garden for a small balcony, a team offsite,
a surprise party, a school trip to a museum, a baby shower, a move to another city, a kitchen renovation, a picnic for six, a book club evening
""")
OPINIONS = split("""
a cat or a dog, an electric car or a hybrid, renting or buying, tea or coffee, iOS or Android, a laptop or a desktop, Python or Java,
working from home or in an office, a gym or home workouts, the mountains or the beach, a mortgage over 15 or 30 years, gas or induction,
studying law or medicine, a small town or a big city, index funds or single stocks, paper books or an e-reader, therapy or coaching
""")
WORDS_TO_SAY = split("""
good morning, thank you very much, where is the train station, I would like a coffee, see you tomorrow, how much does it cost,
I don't understand, happy birthday, the weather is nice today, my name is Anna, can I have the bill, I am lost, good luck,
please call me back, the meeting is at three, I miss you, what time is it, help yourself, cheers, have a nice weekend, excuse me
""")
TONGUES = split(
    "Spanish, French, German, Italian, Portuguese, Dutch, Polish, Russian, Japanese, Chinese, Korean, Arabic, Turkish, Swedish, Greek, Hindi, Latin"
)

FOREIGN = split("""
Wie heißt die Hauptstadt von Australien?, Wer hat die Glühbirne erfunden?, Wie backe ich einen Apfelkuchen?, Wie spät ist es in Tokio?,
Schreib mir ein Gedicht über den Herbst., Was ist der Unterschied zwischen Wetter und Klima?, Wie viele Einwohner hat Berlin?,
Welcher Fluss fließt durch die Geburtsstadt von Mozart?, Wer ist älter als der Papst?, Was kostet eine Fahrkarte nach Hamburg?,
Quelle est la capitale du Canada ?, Qui a écrit Les Misérables ?, Comment faire une quiche lorraine ?, Combien font 12 fois 14 ?,
Pourquoi le ciel est-il bleu ?, Écris une lettre de motivation pour un stage., Quel temps fait-il à Nice en mai ?,
Dans quelle ville est né le peintre de La Joconde ?, Combien d'années séparent 1789 et 1848 ?, Où puis-je acheter un vélo ?,
¿Cuál es la capital de Perú?, ¿Quién pintó Las Meninas?, ¿Cómo se hace una tortilla de patatas?, ¿Cuánto es 15 por ciento de 80?,
¿Qué diferencia hay entre un virus y una bacteria?, Escribe un poema sobre el mar., ¿Cuántos años vivió Cervantes?,
¿Dónde nació el autor de Cien años de soledad?, ¿Qué tiempo hace en Madrid?, ¿Quién es más alto que Messi?,
Qual è la capitale della Norvegia?, Chi ha scritto la Divina Commedia?, Come si prepara il tiramisù?, Quanto costa un biglietto per Roma?,
Quanti abitanti ha Milano?, Scrivi una poesia sulla pioggia., In che anno è nato il pittore della Gioconda?, Dove si trova il Colosseo?,
Qual é a capital da Argentina?, Quem escreveu Dom Casmurro?, Como se faz pão de queijo?, Quantos habitantes tem o Porto?,
Wat is de hoofdstad van België?, Hoe maak ik erwtensoep?, Wie schilderde De Nachtwacht?, Hoeveel is 7 keer 13?, Waarom is de lucht blauw?,
Jaka jest stolica Węgier?, Kto napisał Pana Tadeusza?, Jak ugotować pierogi?, Ile mieszkańców ma Kraków?, Vad heter Sveriges kung?,
Hur lagar man köttbullar?, Vilken är den längsta floden i Europa?, Hvem skrev Peer Gynt?, Hvad er hovedstaden i Island?,
Кто написал «Войну и мир»?, Какая столица Казахстана?, Как сварить борщ?, Сколько будет семью восемь?, Почему небо голубое?,
法国的首都是哪里？, 怎么做红烧肉？, 谁写了《红楼梦》？, 请帮我写一封请假邮件。, 十五乘以二十是多少？, 为什么天空是蓝色的？, 长城有多长？,
日本で一番高い山は何ですか？, カレーの作り方を教えてください。, 今日の天気はどうですか？, 誰が「源氏物語」を書きましたか？, 東京の人口は？,
대한민국의 수도는 어디인가요?, 김치찌개는 어떻게 끓이나요?, Türkiye'nin başkenti neresidir?, Mercimek çorbası nasıl yapılır?,
ما هي عاصمة مصر؟, من كتب ألف ليلة وليلة؟, كيف أصنع الخبز؟, भारत की राजधानी क्या है?, चाय कैसे बनाते हैं?, Ποια είναι η πρωτεύουσα της Ελλάδας;,
Mikä on Suomen pääkaupunki?, Miten leivotaan ruisleipää?, Mi Magyarország fővárosa?, Care este capitala României?, Який найбільший океан?
""")
UNCLEAR = split("""
And the second one?, What about him?, Why did she do that?, Is it bigger?, How much was it again?, What about the other one?, And before that?,
Can you say more?, What does that mean?, Which one is better?, Are you sure?, Who was that?, When did it happen?, Why not?, How come?,
Is that true?, And in winter?, What did they say?, Where is it?, Same question for the first one., Go on., Explain that again., What next?,
Which of them came later?, Does it work?, Who told you that?, How old is he?, What's her name?, Is this one older than that one?, And you?,
Could you shorten it?, Make it longer., Try again., What's the point?, Does this look right?, Is it worth it?, What would happen then?, so?
""")
CHAT = split("""
hello, hi there, Good morning!, How are you?, Thanks a lot!, thank you, bye, See you later., Who are you?, What can you do?, Are you a robot?,
Tell me a joke., Do you like music?, I am bored., I feel sad today., Sing me a song., What's up?, ok, yes, no, Nice to meet you.,
Tell me something interesting., You are great., I love you., Good night., Happy new year!, test, asdf, lol, What do you think?,
I had a bad day at work., My cat is sick and I'm worried., Do you dream?, How old are you?, What's your favorite color?, Can you help me?
""")
ADVICE = split("""
Should I tell my boss that I am looking for another job?, Is it rude to leave a party early?, How do I get over a breakup?, Am I too old to learn the piano?,
Is a gap year a good idea?, What should I cook tonight?, What is a good gift for my father?, Which book should I read next?, Is college worth it?,
How can I make friends in a new city?, What is the best way to learn to code?, What should I wear to a summer wedding?, Should I get a second cat?,
Is it OK to skip breakfast?, What name should I give my dog?, Should pineapple be on pizza?, Is the new Star Wars film any good?, What is the meaning of life?,
How do I tell my kids that we are moving?, Which phone would you buy?, Do you think aliens exist?, Is it better to be feared or loved?, What makes a good leader?,
What hobby should I start?, Is remote work good for young people?, How do I stop procrastinating?, What are good questions for a first date?, Is money important?,
What is a fair price for a used bike?, How strict should parents be?, How do I say no politely?, Is it wrong to lie to protect someone?, Who is the best footballer ever?
""")
LISTS = split("""
names for a coffee shop, icebreakers for a meeting, vegetarian dinners, exercises without equipment, synonyms of happy, reasons to learn German,
things to do in Berlin, words that rhyme with blue, questions for an interview, ideas for a science fair, low-maintenance plants, board games for two,
jokes about math, rules for a shared flat, healthy snacks, films for a rainy day, team building games, advantages of solar power, hashtags for a travel photo,
business ideas, topics for a speech, good habits, uses for old jars, quotes about courage, baby names that start with L, signs of burnout, dog breeds for families
""")
CONVERSIONS = (
    "How many {a} are in {n} {b}?", "Convert {n} {b} to {a}.", "What is {n} {b} in {a}?", "{n} {b} in {a}",
)  # fmt: skip
UNITS = (("centimeters", "inches"), ("kilometers", "miles"), ("grams", "ounces"), ("kilograms", "pounds"), ("liters", "gallons"), ("meters", "feet"),
         ("degrees Celsius", "degrees Fahrenheit"), ("minutes", "hours"), ("seconds", "minutes"), ("days", "weeks"), ("euros", "dollars"), ("milliliters", "cups"),
         ("square meters", "acres"), ("meters", "kilometers"), ("bits", "bytes"), ("hours", "days"), ("millimeters", "centimeters"))  # fmt: skip


def how_to(rng: Random) -> str:
    task = rng.choice(TASKS)
    return rng.choice([f"How do I {task}?", f"How can I {task}?", f"how to {task}", f"What is the best way to {task}?", f"Explain step by step how to {task}.",
                       f"Give me instructions to {task}.", f"Show me how to {task}", f"What do I need to {task}?", f"How would you {task}?", f"Is it hard to {task}?"])  # fmt: skip


def code(rng: Random) -> str:
    what, language = rng.choice(CODE), rng.choice(LANGUAGES_CODE)
    return rng.choice([f"Write a {language} function that {what}.", f"Write a program in {language} that {what}.", f"I need a {language} script that {what}",
                       f"Give me {language} code that {what}.", f"Can you write {language} code that {what}?", f"Show me a {language} example that {what}.",
                       f"How do I write a {language} program that {what}?", f"Why does my {language} program that {what} crash?",
                       f"What does this error mean in {language}: index out of range?", f"Refactor this {language} code: for i in range(len(a)): print(a[i])",
                       f"How do I sort a list in {language}?", f"What is the difference between {language} and {rng.choice(LANGUAGES_CODE)}?",
                       f"Write a regex that {what}.", f"Write unit tests for a {language} function that {what}."])  # fmt: skip


def writing(rng: Random) -> str:
    what, tone = rng.choice(WRITING), rng.choice(TONES)
    article, _, rest = what.partition(" ")
    toned = f"a {tone} {rest}" if article in ("a", "an") else what
    return rng.choice([f"Write {what}.", f"Write {toned}.", f"Can you write {what}?", f"Help me write {toned}", f"I need {what}.", f"Please draft {what}.",
                       f"Compose {toned}.", f"write me {what}", f"Could you come up with {what}?", "Rewrite this sentence more politely: send me the files now.",
                       "Make this text shorter: We are writing to let you know that the meeting has been moved.", "Proofread: I has been waiting since two hour."])  # fmt: skip


def explanation(rng: Random) -> str:
    topic = rng.choice(TOPICS)
    if topic.startswith(("how ", "why ", "what ")):
        return rng.choice(
            [
                f"Explain {topic}.",
                f"Can you tell me {topic}?",
                f"I never understood {topic}",
                f"Explain {topic} to a child.",
            ]
        )
    return rng.choice([f"Explain {topic}.", f"What is {topic}?", f"Explain {topic} like I'm five.", f"Can you explain {topic} in simple words?", f"Give me an overview of {topic}.",
                       f"Summarize {topic} in three sentences.", f"Why is {topic} important?", f"Tell me about {topic}", f"what does {topic} mean", f"Give an example of {topic}."])  # fmt: skip


def planning(rng: Random) -> str:
    trip = rng.choice(TRIPS)
    return rng.choice([f"Plan {trip}.", f"Help me plan {trip}.", f"Can you plan {trip}?", f"I want to plan {trip}. Where do I start?", f"Make a checklist for {trip}.",
                       f"What should I keep in mind for {trip}?", f"Suggest an itinerary for {trip}" if "in " in trip else f"Give me ideas for {trip}", f"How much should I budget for {trip}?"])  # fmt: skip


def opinion(rng: Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(ADVICE)
    pair = rng.choice(OPINIONS)
    return rng.choice(
        [
            f"Which is better, {pair}?",
            f"Should I choose {pair}?",
            f"What do you prefer, {pair}?",
            f"What are the pros and cons of {pair}?",
            f"{pair}?".capitalize(),
            f"Would you recommend {pair}?",
        ]
    )


def listing(rng: Random) -> str:
    what, n = rng.choice(LISTS), rng.choice([3, 5, 10, 20])
    return rng.choice(
        [
            f"Give me {n} {what}.",
            f"List {n} {what}.",
            f"Name some {what}",
            f"What are some {what}?",
            f"Suggest {what}.",
            f"I need {n} {what}.",
            f"Can you list {what}?",
        ]
    )


def translation(rng: Random) -> str:
    words, tongue = rng.choice(WORDS_TO_SAY), rng.choice(TONGUES)
    return rng.choice([f"How do you say '{words}' in {tongue}?", f"Translate to {tongue}: {words}.", f"Translate '{words}' into {tongue}.", f"What is '{words}' in {tongue}?",
                       f"Put this into {tongue}: {words}", f"{words.capitalize()} in {tongue}, please.", f"Is '{words}' correct English?"])  # fmt: skip


def sum_of_one_step(rng: Random) -> str:
    a, b = rng.randint(2, 999), rng.randint(2, 99)
    person, thing = (
        rng.choice(SHE + HE),
        rng.choice(["apples", "books", "stamps", "dollars", "eggs", "cards", "shells", "pens"]),
    )
    from_unit, to_unit = rng.choice(UNITS)
    return rng.choice([
        f"What is {a} times {b}?", f"{a} x {b}", f"What is {a} + {b}?", f"{a} plus {b}?", f"Calculate {a * b} / {b}.", f"What is {a} minus {b}?",
        f"What is {b}% of {a}?", f"How much is {b} percent of {a}?", f"What is the square root of {b * b}?", f"{b} squared", f"Is {a} a prime number?", f"What is {b} to the power of 3?",
        f"What is half of {a}?", f"Round {a / 7:.4f} to two decimals.", f"what's {a}*{b}", f"What is the remainder of {a} divided by {b}?", f"solve 3x = {b * 3}", f"What is {a}/{b} as a decimal?",
        f"{person} has {a} {thing} and buys {b} more. How many {thing} does {person} have?", f"{person} had {a + b} {thing} and gave away {b}. How many are left?",
        f"One ticket costs ${b}. How much do {rng.randint(2, 12)} tickets cost?", f"{a * b} {thing} are shared equally by {b} children. How many does each get?",
        f"A box holds {b} {thing}. How many {thing} do {rng.randint(2, 40)} boxes hold?", f"There are {a} students and {b} teachers at a school. How many people is that?",
        f"{person} is {b} years old. How old will {person} be in {rng.randint(2, 30)} years?", f"A train is {b} minutes late. It was due at 10:{rng.randint(10, 30)}. When does it arrive?",
        f"{person} ran {b} km on Monday and {rng.randint(2, 20)} km on Tuesday. How far in total?", f"If {person} reads {b} pages a day, how many pages is that in a week?",
        rng.choice(CONVERSIONS).format(a=from_unit, b=to_unit, n=rng.choice([1, 2, 3, 5, 10, 12, 25, 100, 2.5])),
    ])  # fmt: skip


def definition(rng: Random) -> str:
    """Single facts that name no thing of the lists."""
    return rng.choice(
        split("""
    What does HTML stand for?, What is the plural of ox?, What is the opposite of brave?, How do you spell necessary?, Who was president of the United States in 1995?,
    What is the speed of light?, How many legs does a spider have?, What year did man first land on the Moon?, Who won the World Cup in 2010?, What day is Christmas?,
    What is the tallest animal?, Which planet is closest to the sun?, What is the largest ocean?, How many bones does a human have?, What is the freezing point of water?,
    Who invented paper?, What do bees make?, Which month has 28 days?, How many strings does a violin have?, What is the smallest country in the world?, What is a group of lions called?,
    What is the longest river in the world?, Who painted the ceiling of the Sistine Chapel?, What does a barometer measure?, How many players are on a soccer team?, What does CPU mean?,
    When does summer start?, Is a tomato a fruit?, Do penguins fly?, Can dogs eat chocolate?, Is Pluto a planet?, Are bats blind?, Do fish sleep?, Is glass a liquid?, Is the earth flat?,
    What's the weather like today?, What time is it?, What is today's date?, Who won the game last night?, What is the price of gold?, How hot is it outside?, Is the pharmacy open now?,
    Which vitamin is in oranges?, What is the currency of Japan?, Who is the patron saint of Ireland?, How long is a marathon?, How many days are in a leap year?, What is the boiling point of water in Fahrenheit?,
    What is the chemical formula of water?, Who discovered America?, When did World War II end?, How far is the Moon?, What is a synonym for quick?, What does carpe diem mean?, What color is a ruby?
    """)
    )


MAKERS = (
    how_to,
    code,
    writing,
    explanation,
    planning,
    opinion,
    listing,
    translation,
    sum_of_one_step,
    sum_of_one_step,
    definition,
)


def untidy(rng: Random, text: str) -> str:
    """As people type: lower case, no mark at the end, a word before it."""
    roll = rng.random()
    if roll < 0.12:
        text = text.lower()
    if roll < 0.2:
        text = text.rstrip("?.")
    elif roll < 0.25:
        text = rng.choice(["please: ", "hey, ", "Hi! ", "Could you help me? ", "OK so "]) + text
    return text


def whole(rng: Random) -> Written:
    """One question of any of these kinds."""
    roll = rng.random()
    if roll < 0.3:
        return facts.single(rng)
    if roll < 0.4:
        return Written(rng.choice(FOREIGN), ())
    if roll < 0.47:
        return Written(untidy(rng, rng.choice(UNCLEAR)), ())
    if roll < 0.52:
        return Written(untidy(rng, rng.choice(CHAT)), ())
    return Written(untidy(rng, rng.choice(MAKERS)(rng)), ())
