"""Words that the sample database is made of: places, names, products and subjects, all invented."""

from dataclasses import dataclass

FIRST_NAMES = (
    "Ada", "Amir", "Anneke", "Bao", "Beatriz", "Callum", "Chiara", "Dagny", "Darius", "Elif", "Emeka",
    "Esther", "Farah", "Finn", "Greta", "Hana", "Hugo", "Ines", "Ivo", "Jonas", "Kaito", "Katya", "Lena",
    "Lucas", "Maeve", "Mateo", "Mira", "Nadia", "Noor", "Olga", "Oscar", "Paula", "Priya", "Quentin",
    "Rafael", "Rosa", "Sami", "Signe", "Tariq", "Thea", "Umar", "Vera", "Wanda", "Xenia", "Yara", "Zoe",
)  # fmt: skip
LAST_NAMES = (
    "Abara", "Albrecht", "Bakker", "Beaumont", "Castell", "Dahl", "Demir", "Duarte", "Eklund", "Ferrand",
    "Galli", "Haddad", "Hoekstra", "Ibarra", "Jansky", "Kessler", "Kimura", "Lindqvist", "Marchetti",
    "Mbeki", "Nakata", "Novak", "Okafor", "Osman", "Petrov", "Quiroga", "Rasmussen", "Rinaldi",
    "Sandoval", "Schuster", "Tanaka", "Urban", "Vasquez", "Weller", "Yilmaz", "Zeman",
)  # fmt: skip
COMPANY_STEMS = (
    "Alder", "Amber", "Arbor", "Birch", "Bramble", "Cedar", "Clover", "Copper", "Coral", "Delta", "Dune",
    "Ember", "Fern", "Flint", "Granite", "Harbor", "Hazel", "Iris", "Juniper", "Kelp", "Larch", "Linden",
    "Maple", "Marsh", "Meadow", "Nettle", "Oak", "Opal", "Pebble", "Poplar", "Quartz", "Reed", "Rowan",
    "Sable", "Slate", "Sorrel", "Thistle", "Tundra", "Willow", "Yarrow",
)  # fmt: skip
COMPANY_TRADES = (
    "Analytics", "Bakeries", "Clinics", "Couriers", "Design", "Dental", "Energy", "Farms", "Foods",
    "Freight", "Hotels", "Insurance", "Labs", "Law", "Logistics", "Media", "Motors", "Optics", "Robotics",
    "Schools",
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    country: str
    weight: float
    cities: tuple[str, ...]


PLACES = (
    Place("Germany", 22, ("Berlin", "Hamburg", "Leipzig", "Munich")),
    Place("France", 17, ("Lille", "Lyon", "Nantes", "Paris")),
    Place("Spain", 12, ("Bilbao", "Madrid", "Valencia")),
    Place("Italy", 11, ("Bologna", "Milan", "Turin")),
    Place("Netherlands", 10, ("Amsterdam", "Rotterdam", "Utrecht")),
    Place("Poland", 9, ("Gdansk", "Krakow", "Warsaw")),
    Place("Sweden", 7, ("Gothenburg", "Malmo", "Stockholm")),
    Place("Portugal", 5, ("Lisbon", "Porto")),
    Place("Ireland", 4, ("Cork", "Dublin")),
    Place("Austria", 3, ("Graz", "Vienna")),
)
OFFICES = ("Lisbon", "Krakow", "Dublin")


@dataclass(frozen=True)
class ProductLine:
    """`weight` is its share of tickets, `fault_factor` how much likelier its tickets are about faults."""

    name: str
    category: str
    price: str
    weight: float
    fault_factor: float
    age_days: int
    """How long before the base date it was launched."""


PRODUCTS = (
    ProductLine("Heron Router", "networking", "149.00", 18, 1.3, 1460),
    ProductLine("Heron Router Pro", "networking", "249.00", 9, 1.1, 620),
    ProductLine("Heron Mesh Point", "networking", "89.00", 10, 1.2, 1100),
    ProductLine("Plover Switch", "networking", "59.00", 4, 0.8, 1900),
    ProductLine("Kestrel Camera", "security", "129.00", 14, 1.5, 1300),
    ProductLine("Kestrel Doorbell", "security", "179.00", 9, 1.4, 800),
    ProductLine("Owl Alarm Hub", "security", "199.00", 7, 1.0, 1500),
    ProductLine("Wren Door Sensor", "security", "25.00", 4, 0.9, 1500),
    ProductLine("Swift Thermostat", "energy", "219.00", 8, 1.0, 1000),
    ProductLine("Swift Smart Plug", "energy", "29.00", 5, 0.9, 900),
    ProductLine("Tern Solar Monitor", "energy", "299.00", 3, 1.6, 400),
    ProductLine("Roost Cloud Storage", "software", "7.00", 6, 0.6, 1700),
    ProductLine("Aviary App", "software", "0.00", 8, 0.7, 1900),
    ProductLine("Aviary Insights", "software", "12.00", 3, 0.5, 300),
)


@dataclass(frozen=True)
class Topic:
    """`hours` is the median time to a solution at normal priority."""

    name: str
    weight: float
    hours: float
    team: str
    subjects: tuple[str, ...]


TOPICS = (
    Topic("fault", 34, 26, "technical", (
        "{product} stopped responding", "{product} restarts by itself",
        "{product} loses its connection at night", "Red light on my {product}",
        "{product} makes a clicking noise", "Update of {product} fails half way",
    )),
    Topic("billing", 18, 14, "billing", (
        "Charged twice for {product}", "Invoice for {product} shows the wrong address",
        "Refund for {product}", "Discount code was not applied to {product}", "Please change my payment card",
    )),
    Topic("setup", 20, 7, "front line", (
        "How do I connect {product}?", "{product} can't find my network", "Moving {product} to a new house",
        "Pairing {product} with my phone", "Which cable does {product} need?",
    )),
    Topic("delivery", 12, 40, "front line", (
        "{product} has not arrived", "{product} arrived damaged", "Wrong colour of {product} delivered",
        "Change the delivery address of {product}",
    )),
    Topic("account", 11, 5, "front line", (
        "Can't sign in any more", "Reset of my password does not work", "Close my account",
        "Add a second user to my account", "Two-step sign-in code never comes",
    )),
    Topic("feature request", 5, 90, "front line", (
        "{product} should support dark mode", "Please add an export to {product}",
        "Schedule for {product}, please", "An interface for developers for {product}",
    )),
)  # fmt: skip
