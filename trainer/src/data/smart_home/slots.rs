//! The values that fill the templates.

/// A place in a template, written `{name}`, and what may stand there.
///
/// Values carry their unit (`20 minutes`, not `20`), so that a held-out value is a
/// phrase that no training text contains.
pub(super) struct Slot {
    /// Its name in templates.
    pub(super) name: &'static str,
    /// Values of the training set.
    pub(super) train: &'static [&'static str],
    /// Values that only the test set has.
    pub(super) held_out: &'static [&'static str],
}

/// The slots of all templates.
pub(super) const SLOTS: &[Slot] = &[
    Slot {
        name: "room",
        train: &[
            "kitchen",
            "bedroom",
            "living room",
            "bathroom",
            "hallway",
            "office",
            "garage",
            "dining room",
            "nursery",
            "basement",
        ],
        held_out: &[
            "study",
            "guest room",
            "attic",
            "laundry room",
            "conservatory",
        ],
    },
    Slot {
        name: "light",
        train: &[
            "light",
            "lights",
            "lamp",
            "ceiling light",
            "reading lamp",
            "spotlights",
        ],
        held_out: &["floor lamp", "chandelier", "wall light"],
    },
    Slot {
        name: "level",
        train: &[
            "20 percent",
            "50 percent",
            "ten percent",
            "30 percent",
            "75 percent",
            "half",
        ],
        held_out: &["40 percent", "sixty percent", "a third"],
    },
    Slot {
        name: "color",
        train: &[
            "red",
            "blue",
            "green",
            "warm white",
            "purple",
            "orange",
            "yellow",
            "pink",
        ],
        held_out: &["turquoise", "violet", "cold white", "amber"],
    },
    Slot {
        name: "degrees",
        train: &[
            "20 degrees",
            "21 degrees",
            "19 degrees",
            "22 degrees",
            "twenty degrees",
            "18 degrees",
        ],
        held_out: &["23 degrees", "seventeen degrees", "24 degrees"],
    },
    Slot {
        name: "door",
        train: &[
            "front door",
            "back door",
            "garage door",
            "side door",
            "patio door",
            "main entrance",
            "porch door",
        ],
        held_out: &["balcony door", "cellar door", "garden gate"],
    },
    Slot {
        name: "cover",
        train: &["blinds", "shades", "curtains", "shutters", "roller blinds"],
        held_out: &["drapes", "venetian blinds", "awning"],
    },
    Slot {
        name: "music",
        train: &[
            "jazz",
            "classical music",
            "rock",
            "my workout playlist",
            "pop songs",
            "piano music",
            "country songs",
            "my favorite album",
            "the news channel",
        ],
        held_out: &["blues", "reggae", "my dinner playlist", "film music"],
    },
    Slot {
        name: "speaker",
        train: &["speaker", "tv", "radio", "stereo", "music", "sound"],
        held_out: &["soundbar", "television", "loudspeaker"],
    },
    Slot {
        name: "duration",
        train: &[
            "5 minutes",
            "ten minutes",
            "half an hour",
            "20 minutes",
            "one hour",
            "90 seconds",
            "two minutes",
        ],
        held_out: &[
            "15 minutes",
            "three hours",
            "45 seconds",
            "a quarter of an hour",
        ],
    },
    Slot {
        name: "clock",
        train: &[
            "7 am",
            "six thirty",
            "8 o'clock",
            "half past six",
            "5 45",
            "noon",
            "7 tomorrow morning",
        ],
        held_out: &["quarter to seven", "9 am", "seven fifteen"],
    },
    Slot {
        name: "task",
        train: &["pasta", "eggs", "laundry", "pizza", "tea", "cake"],
        held_out: &["rice", "bread dough", "roast"],
    },
    Slot {
        name: "occasion",
        train: &["work", "school", "the gym", "my flight", "the meeting"],
        held_out: &["church", "the early train", "my exam"],
    },
    // For requests that are out of scope.
    Slot {
        name: "device",
        train: &[
            "light bulb",
            "radio",
            "thermostat",
            "door lock",
            "speaker",
            "alarm clock",
            "heater",
            "window",
            "record player",
            "doorbell",
        ],
        held_out: &[
            "lantern",
            "air conditioner",
            "keyhole",
            "stopwatch",
            "gramophone",
        ],
    },
    Slot {
        name: "city",
        train: &[
            "paris", "london", "tokyo", "berlin", "new york", "madrid", "cairo",
        ],
        held_out: &["oslo", "lisbon", "nairobi", "toronto"],
    },
    Slot {
        name: "person",
        train: &[
            "my mom",
            "anna",
            "my boss",
            "the plumber",
            "dad",
            "my sister",
            "tom",
        ],
        held_out: &["grandma", "the landlord", "carlos", "my neighbor"],
    },
    Slot {
        name: "food",
        train: &[
            "pancakes",
            "lasagna",
            "chicken soup",
            "a salad",
            "sushi",
            "chili",
        ],
        held_out: &["dumplings", "apple pie", "ramen"],
    },
    Slot {
        name: "thing",
        train: &[
            "batteries",
            "a new couch",
            "running shoes",
            "a carpet",
            "milk",
            "headphones",
            "paint",
        ],
        held_out: &["candles", "a toaster", "envelopes", "a raincoat"],
    },
    Slot {
        name: "topic",
        train: &[
            "black holes",
            "the roman empire",
            "photosynthesis",
            "the stock market",
            "electricity",
            "volcanoes",
        ],
        held_out: &["glaciers", "the cold war", "magnetism"],
    },
];
