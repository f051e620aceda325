"""Names, titles and places that written questions are about; our own lists, well known or made up."""

from __future__ import annotations

from random import Random

from dnc_edge.train.words import HE, SHE, SYLLABLES


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.replace("\n", " ").split(",") if part.strip())


PEOPLE = _split("""
Ada Lovelace, Albert Einstein, Marie Curie, Nikola Tesla, Isaac Newton, Galileo Galilei, Charles Darwin, Louis Pasteur,
Leonardo da Vinci, Michelangelo, Rembrandt, Frida Kahlo, Vincent van Gogh, Claude Monet, Pablo Picasso, Salvador Dali,
Johann Sebastian Bach, Ludwig van Beethoven, Frederic Chopin, Franz Schubert, Antonio Vivaldi, Giuseppe Verdi,
William Shakespeare, Jane Austen, Charles Dickens, Leo Tolstoy, Mark Twain, Virginia Woolf, Ernest Hemingway, Homer,
Gabriel Garcia Marquez, Agatha Christie, Franz Kafka, Mahatma Gandhi, Nelson Mandela, Abraham Lincoln, Winston Churchill,
Napoleon Bonaparte, Julius Caesar, Cleopatra, Alexander the Great, Genghis Khan, Queen Victoria, Marco Polo, Simon Bolivar,
Neil Armstrong, Yuri Gagarin, Amelia Earhart, Roald Amundsen, James Cook, Bill Gates, Steve Jobs, Tim Berners-Lee,
Serena Williams, Roger Federer, Usain Bolt, Pele, Lionel Messi, Muhammad Ali, Michael Jordan, Magnus Carlsen,
Elvis Presley, David Bowie, Freddie Mercury, Madonna, Bob Dylan, Adele, Taylor Swift, Bob Marley, Charlie Chaplin,
Alfred Hitchcock, Steven Spielberg, Meryl Streep, Tom Hanks, Audrey Hepburn, Akira Kurosawa, Hayao Miyazaki,
Sigmund Freud, Immanuel Kant, Socrates, Plato, Aristotle, Confucius, Florence Nightingale, Alan Turing, Grace Hopper
""")
BOOKS = _split("""
Moby-Dick, War and Peace, Pride and Prejudice, Don Quixote, The Great Gatsby, Crime and Punishment, Ulysses, Dracula,
Frankenstein, Jane Eyre, The Hobbit, Animal Farm, Brave New World, The Catcher in the Rye, Les Miserables, The Odyssey,
Gulliver's Travels, Robinson Crusoe, Alice in Wonderland, The Trial, The Stranger, Things Fall Apart, Beloved, Emma,
Life of Pi, The Name of the Rose, The Little Prince, Anna Karenina, Middlemarch, Dune, Foundation, Neuromancer
""")
FILMS = _split("""
Casablanca, Jaws, The Godfather, Titanic, Psycho, Vertigo, Alien, Blade Runner, The Matrix, Gladiator, Inception, Rocky,
Pulp Fiction, The Shining, Fargo, Amelie, Parasite, Spirited Away, Metropolis, Seven Samurai, Gravity, Interstellar,
The Lion King, Toy Story, Finding Nemo, Jurassic Park, Back to the Future, Citizen Kane, Chinatown, Taxi Driver, Heat
""")
MUSIC = _split("""
The Four Seasons, Swan Lake, The Nutcracker, Carmen, Aida, Tosca, Bolero, The Planets, Peer Gynt, Rhapsody in Blue,
Ode to Joy, Moonlight Sonata, The Blue Danube, La Traviata, The Barber of Seville, Don Giovanni, Messiah, Water Music,
Symphonie Fantastique, Scheherazade, Madama Butterfly, Parsifal, The Rite of Spring, Clair de Lune, Gymnopedies
""")
SONGS = _split("""
Imagine, Yesterday, Hey Jude, Bohemian Rhapsody, Thriller, Purple Rain, Hallelujah, Respect, Superstition, Waterloo,
Hotel California, Like a Prayer, Wonderwall, Smells Like Teen Spirit, Rolling in the Deep, No Woman No Cry, Jolene
""")
ART = _split("""
the Mona Lisa, The Starry Night, The Scream, Guernica, The Night Watch, Girl with a Pearl Earring, The Kiss, David,
The Thinker, The Birth of Venus, Water Lilies, The Persistence of Memory, Las Meninas, The Last Supper, Nighthawks
""")
COUNTRIES = _split("""
France, Germany, Italy, Spain, Portugal, Poland, Sweden, Norway, Finland, Greece, Turkey, Egypt, Morocco, Kenya, Nigeria,
South Africa, India, China, Japan, South Korea, Vietnam, Thailand, Indonesia, Australia, New Zealand, Canada, Mexico,
Brazil, Argentina, Chile, Peru, Colombia, Cuba, Iceland, Ireland, Austria, Switzerland, Hungary, Ukraine, Mongolia, Nepal
""")
CITIES = _split("""
Paris, London, Berlin, Madrid, Rome, Vienna, Prague, Warsaw, Lisbon, Athens, Istanbul, Cairo, Nairobi, Lagos, Cape Town,
Mumbai, Delhi, Beijing, Shanghai, Tokyo, Kyoto, Seoul, Bangkok, Sydney, Melbourne, Toronto, Vancouver, New York, Chicago,
Boston, Seattle, Houston, Mexico City, Lima, Buenos Aires, Santiago, Bogota, Oslo, Stockholm, Helsinki, Dublin, Florence
""")
RIVERS = _split("the Nile, the Amazon, the Danube, the Rhine, the Thames, the Seine, the Volga, the Ganges, the Mekong, "
                "the Mississippi, the Yangtze, the Congo, the Elbe, the Loire, the Po, the Tagus, the Niger, the Zambezi")  # fmt: skip
MOUNTAINS = _split("Mount Everest, K2, Kilimanjaro, Mont Blanc, Denali, Mount Fuji, Aconcagua, Mount Elbrus, the Matterhorn, "
                   "Mount Etna, Ben Nevis, Mount Olympus, Mount Rainier, Zugspitze, Mauna Kea, Annapurna")  # fmt: skip
LAKES = _split("Lake Victoria, Lake Superior, Lake Baikal, Lake Titicaca, Lake Geneva, Lake Como, Lake Garda, Loch Ness, "
               "the Caspian Sea, Lake Chad, Lake Ontario, Lake Constance")  # fmt: skip
BUILDINGS = _split("""
the Eiffel Tower, the Colosseum, the Taj Mahal, Big Ben, the Sagrada Familia, the Golden Gate Bridge, Buckingham Palace,
the Empire State Building, the Sydney Opera House, the Burj Khalifa, the Louvre, the Parthenon, the White House,
the Brooklyn Bridge, the Great Wall of China, Machu Picchu, the Alhambra, Notre-Dame, the Tower of London, Petra
""")
COMPANIES = _split("""
Apple, Microsoft, Google, Amazon, Toyota, Honda, Volkswagen, BMW, Samsung, Sony, Nintendo, IKEA, Lego, Nokia, Siemens,
Nestle, Adidas, Nike, Boeing, Airbus, Spotify, Netflix, Tesla, Intel, IBM, Philips, Ferrari, Volvo, Coca-Cola, Starbucks
""")
PRODUCTS = _split("""
the iPhone, Windows, the PlayStation, the Game Boy, the Walkman, the Model T, Linux, Python, Java, Photoshop, Android,
the Kindle, Minecraft, Tetris, Super Mario Bros., the Rubik's Cube, Monopoly, Post-it notes, Velcro, aspirin, nylon
""")
INVENTIONS = _split("""
the telephone, the light bulb, the steam engine, the printing press, the radio, the telescope, dynamite, the airplane,
penicillin, the microscope, the battery, the barometer, the zipper, the transistor, the laser, the World Wide Web,
the pendulum clock, the smallpox vaccine, the hot air balloon, the ballpoint pen, the sewing machine, the bicycle
""")
BANDS = _split("the Beatles, Queen, ABBA, Nirvana, Pink Floyd, U2, Coldplay, Radiohead, the Rolling Stones, Metallica, "
               "Led Zeppelin, Daft Punk, Oasis, Blur, Fleetwood Mac, the Doors, AC/DC, Depeche Mode, Genesis")  # fmt: skip
TEAMS = _split("Real Madrid, FC Barcelona, Liverpool FC, Bayern Munich, Juventus, Ajax, the Los Angeles Lakers, "
               "the Chicago Bulls, the Boston Celtics, the New York Yankees, the Green Bay Packers, Celtic, Benfica")  # fmt: skip
SCHOOLS = _split("Harvard University, Oxford University, MIT, Yale University, the Sorbonne, ETH Zurich, Stanford University, "
                 "the University of Bologna, Cambridge University, Trinity College Dublin, Heidelberg University")  # fmt: skip
EVENTS = _split("""
the French Revolution, World War I, World War II, the Battle of Waterloo, the moon landing, the fall of the Berlin Wall,
the Great Fire of London, the sinking of the Titanic, the first Olympic Games, the American Civil War, the Battle of Hastings,
the San Francisco earthquake, the Russian Revolution, the first flight of the Wright brothers, the Woodstock festival,
the opening of the Suez Canal, the eruption of Vesuvius, the Boston Tea Party, the signing of the Magna Carta, the Black Death
""")
ANIMALS = _split("elephant, blue whale, cheetah, giraffe, polar bear, red kangaroo, ostrich, emperor penguin, African lion, "
                 "Siberian tiger, gray wolf, giant panda, hippopotamus, gorilla, komodo dragon, bald eagle, green sea turtle, "
                 "hummingbird, honey bee, great white shark, giant squid, koala, reindeer, camel, hedgehog, beaver")  # fmt: skip
MATTER = _split("gold, silver, iron, copper, lead, mercury, aluminium, oxygen, hydrogen, helium, nitrogen, carbon, neon, "
                "uranium, water, ethanol, salt, sugar, diamond, quartz, tin, zinc, platinum, titanium, sulfur")  # fmt: skip
PLANETS = _split(
    "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune, Pluto, the Moon, Titan, Europa, Ganymede"
)
FOODS = _split("rice, pasta, an avocado, a banana, an egg, butter, olive oil, cheddar cheese, salmon, chicken breast, lentils, "
               "dark chocolate, an apple, honey, oatmeal, peanut butter, broccoli, white bread, yogurt, almonds, tofu")  # fmt: skip
FIRST_WORDS = _split("Silent, Golden, Broken, Hidden, Last, Crimson, Winter, Forgotten, Distant, Burning, Empty, Secret, Blue, "
                     "Wild, Endless, Pale, Lost, Iron, Quiet, Northern, Hollow, Bitter, Second, Paper, Glass")  # fmt: skip
LAST_WORDS = _split("River, Garden, Harbor, Letters, Mountain, Summer, Shadow, Road, House, Promise, Island, Song, Bridge, "
                    "Stranger, Kingdom, Orchard, Mirror, Voyage, Thieves, Daughter, Station, Storm, Lanterns, Widow, Horizon")  # fmt: skip
SURNAMES = _split("Almeida, Bergström, Castellanos, Dubois, Eriksen, Fontaine, Grabowski, Hartmann, Ivanova, Jansen, Kowalski, "
                  "Lindqvist, Moretti, Nakamura, Okafor, Petrov, Quintero, Rossi, Santos, Takahashi, Ueda, Varga, Whitfield, "
                  "Yilmaz, Zhang, Holloway, McAllister, Osborne, Pemberton, Ramanujan, Sullivan, Thackeray, Banerjee, Cho")  # fmt: skip


def made_up_title(rng: Random) -> str:
    """A title that is nobody's: "The Silent Harbor"."""
    title = f"{rng.choice(FIRST_WORDS)} {rng.choice(LAST_WORDS)}"
    return rng.choice([title, f"The {title}", f"{rng.choice(LAST_WORDS)} of {rng.choice(LAST_WORDS)}", title])


def made_up_person(rng: Random) -> str:
    """A full name that is nobody's."""
    first = rng.choice(SHE + HE)
    middle = f" {rng.choice('ABCDEFGHJKLMNPRSTW')}." if rng.random() < 0.15 else ""
    return f"{first}{middle} {rng.choice(SURNAMES)}"


def made_up_place(rng: Random) -> str:
    """A place that is nowhere."""
    stem = "".join(rng.choices(SYLLABLES, k=rng.randint(2, 3))).capitalize()
    return stem + rng.choice(["", "ville", " Falls", " County", "burg", "ton", " Bay", "heim"])
