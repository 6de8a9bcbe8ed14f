//! Words that surrogates are made of: common names of no one in particular, and invented ones.
//! Changing a list changes every surrogate drawn from it: joins with earlier output would break.

pub(super) const GIVEN: &[&str] = &[
    "Adrian", "Alexis", "Ariel", "Ashley", "Avery", "Bailey", "Blair", "Brook", "Cameron", "Casey",
    "Charlie", "Dakota", "Dana", "Devon", "Drew", "Eden", "Elliot", "Emerson", "Emery", "Finley",
    "Frankie", "Gray", "Hadley", "Harley", "Harper", "Hayden", "Jamie", "Jesse", "Jordan", "Jules",
    "Kai", "Kelly", "Kendall", "Kerry", "Lane", "Lee", "Leslie", "Logan", "Marlow", "Micah",
    "Morgan", "Noel", "Parker", "Payton", "Quinn", "Reese", "Remy", "Riley", "River", "Robin",
    "Rowan", "Sage", "Sasha", "Sawyer", "Shannon", "Sidney", "Skyler", "Spencer", "Stevie",
    "Taylor", "Terry", "Tracy", "Val", "Winter",
];

pub(super) const FAMILY: &[&str] = &[
    "Alder", "Ashby", "Atwood", "Barlow", "Beckett", "Birch", "Bowen", "Brandt", "Calder",
    "Carver", "Colby", "Conrad", "Dalton", "Darby", "Decker", "Draper", "Eastman", "Ellery",
    "Fairley", "Falk", "Fenwick", "Fielding", "Garner", "Gibbs", "Greer", "Hadden", "Halloway",
    "Hartley", "Holt", "Ingram", "Jarvis", "Keller", "Kirby", "Langley", "Larkin", "Lindgren",
    "Lowell", "Marsh", "Mercer", "Merrill", "Nash", "Norwood", "Oakley", "Osborn", "Paxton",
    "Pryor", "Radley", "Ramsey", "Redfern", "Rhodes", "Sadler", "Selby", "Sheldon", "Sterling",
    "Sutton", "Tanner", "Thorne", "Upton", "Vance", "Walden", "Wexler", "Whitby", "Winslow",
    "Yardley",
];

pub(super) const CITIES: &[&str] = &[
    "Ashford Falls",
    "Birchwood",
    "Brookhaven",
    "Cedar Point",
    "Clearwater",
    "Eastbrook",
    "Elmsworth",
    "Fairhaven",
    "Glenmoor",
    "Greenfield",
    "Harborview",
    "Hillcrest",
    "Kingsbridge",
    "Lakemont",
    "Maplewood",
    "Millbrook",
    "Northfield",
    "Oakridge",
    "Pinehurst",
    "Ravenswood",
    "Riverton",
    "Rosedale",
    "Silverton",
    "Southgate",
    "Springvale",
    "Stonebridge",
    "Thornbury",
    "Westbrook",
    "Whitewater",
    "Willowdale",
    "Windermere",
    "Woodhaven",
];

pub(super) const COUNTRIES: &[&str] = &[
    "Argentina",
    "Australia",
    "Austria",
    "Belgium",
    "Brazil",
    "Canada",
    "Chile",
    "Denmark",
    "Finland",
    "France",
    "Germany",
    "Greece",
    "Iceland",
    "India",
    "Ireland",
    "Italy",
    "Japan",
    "Kenya",
    "Mexico",
    "Morocco",
    "Netherlands",
    "Norway",
    "Peru",
    "Poland",
    "Portugal",
    "Spain",
    "Sweden",
    "Switzerland",
    "Thailand",
    "Uruguay",
];

pub(super) const COMPANIES: &[&str] = &[
    "Alderpoint",
    "Amberfield",
    "Bluecrest",
    "Bridgewell",
    "Brightmoor",
    "Cedarline",
    "Clearharbor",
    "Copperleaf",
    "Crownhill",
    "Eastvale",
    "Evermont",
    "Fairwind",
    "Foxglove",
    "Granitepeak",
    "Greyharbor",
    "Highmeadow",
    "Ironbrook",
    "Junipertree",
    "Lakeshire",
    "Larkspur",
    "Mapleton",
    "Moonstone",
    "Northgale",
    "Oakhaven",
    "Pinecrest",
    "Redwillow",
    "Rivermark",
    "Silverbirch",
    "Stonefield",
    "Sunmeadow",
    "Westmoor",
    "Wildbrook",
];

pub(super) const COMPANY_FORMS: &[&str] = &[
    "Group",
    "Holdings",
    "Industries",
    "Labs",
    "Ltd",
    "Partners",
    "Services",
    "Trading",
];

pub(super) const STREETS: &[&str] = &[
    "Alder", "Ash", "Beech", "Birch", "Cedar", "Chestnut", "Cherry", "Elm", "Fern", "Garden",
    "Hazel", "Highland", "Hill", "Holly", "Juniper", "Lake", "Laurel", "Linden", "Maple", "Meadow",
    "Mill", "Oak", "Orchard", "Park", "Pine", "Poplar", "Ridge", "River", "Spring", "Spruce",
    "Walnut", "Willow",
];

pub(super) const STREET_KINDS: &[&str] = &[
    "Avenue", "Court", "Drive", "Lane", "Place", "Road", "Street", "Way",
];

pub(super) const ADJECTIVES: &[&str] = &[
    "amber", "bold", "brave", "bright", "calm", "clever", "coral", "crisp", "eager", "fair",
    "gentle", "golden", "happy", "jolly", "keen", "kind", "lively", "lucky", "mellow", "merry",
    "misty", "noble", "proud", "quick", "quiet", "rapid", "silver", "sunny", "swift", "tidy",
    "warm", "wise",
];

pub(super) const ANIMALS: &[&str] = &[
    "badger", "beaver", "bison", "crane", "deer", "dolphin", "eagle", "falcon", "finch", "fox",
    "gecko", "heron", "ibis", "jay", "koala", "lark", "lynx", "marten", "moose", "newt", "otter",
    "owl", "panda", "puffin", "raven", "robin", "seal", "sparrow", "swan", "tiger", "turtle",
    "wren",
];
