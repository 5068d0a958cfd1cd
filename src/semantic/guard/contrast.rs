//! Words of one kind that exclude each other: red and blue, dog and cat, breakfast and lunch. None is
//! the opposite of another, and a prompt about one is none about another.

use std::sync::LazyLock;

use super::mark::Table;
use super::word::{Alone, key};

/// Whether each side has a word of one kind that the other has not.
pub(super) fn differ(alone: &Alone) -> bool {
    let mut kinds = alone.a.iter().filter_map(|word| KINDS.get(*word));
    kinds.any(|kind| alone.b.iter().any(|word| KINDS.get(*word) == Some(kind)))
}

static KINDS: LazyLock<Table<u8>> = LazyLock::new(|| {
    Table::keyed(
        (0..)
            .zip(LISTS)
            .flat_map(|(kind, list)| list.split_whitespace().map(move |word| (key(word), kind))),
    )
});

/// One list a kind; a word of two kinds is in none.
const LISTS: [&str; 52] = [
    "red blue green yellow purple pink brown black white grey",
    "symptoms causes treatment prevention diagnosis",
    "breakfast lunch dinner brunch",
    "chicken beef pork lamb salmon tuna shrimp tofu",
    "dog cat rabbit hamster parrot horse cow goat sheep pig goldfish turtle",
    "mother father brother sister son daughter uncle aunt grandmother grandfather nephew niece cousin",
    "neck shoulder elbow wrist finger chest stomach hip knee ankle toe ear nose tooth",
    "gold silver copper iron steel aluminium zinc brass bronze platinum",
    "oxygen hydrogen nitrogen helium methane",
    "venus jupiter saturn uranus neptune pluto",
    "english french german spanish italian portuguese russian chinese japanese korean arabic hindi \
     dutch polish turkish latin swedish danish",
    "france germany spain italy portugal austria switzerland belgium poland greece turkey sweden \
     norway denmark finland ireland canada mexico brazil argentina chile peru india china japan \
     korea vietnam thailand indonesia australia egypt nigeria kenya",
    "paris london berlin madrid rome vienna lisbon amsterdam brussels dublin oslo stockholm athens \
     tokyo beijing shanghai delhi mumbai sydney toronto chicago boston seattle denver dallas \
     houston atlanta miami philadelphia baltimore pittsburgh",
    "python java javascript typescript rust ruby php perl kotlin scala haskell golang",
    "postgres postgresql mysql sqlite mongodb redis cassandra",
    "windows linux macos ubuntu debian android ios",
    "chrome firefox safari opera",
    "json xml yaml csv toml",
    "pdf docx png jpeg gif svg mp3 mp4",
    "coffee tea juice beer wine soda",
    "rice pasta bread potatoes",
    "apple banana pear peach strawberry lemon grape mango pineapple",
    "piano guitar violin drums flute trumpet",
    "football basketball tennis baseball hockey golf rugby cricket volleyball",
    "bus train plane motorcycle truck boat ferry taxi",
    "circle triangle rectangle cube sphere cylinder cone",
    "width height depth radius diameter perimeter circumference",
    "integer string float boolean",
    "tcp udp",
    "cpu gpu ram ssd",
    "bluetooth ethernet wifi",
    "sine cosine tangent",
    "derivative integral",
    "subtract multiply divide",
    "product quotient remainder",
    "stocks bonds commodities",
    "assets liabilities",
    "revenue expenses profit",
    "population area capital currency anthem climate",
    "calories protein carbs fiber sodium cholesterol",
    "king queen prince princess",
    "boil fry bake roast grill steam poach",
    "bedroom kitchen bathroom garage basement",
    "checking savings",
    "passport visa",
    "mean median variance",
    "stack queue heap",
    "cough fever headache rash nausea",
    "aspirin ibuprofen paracetamol acetaminophen amoxicillin",
    "surgeon dentist nurse pharmacist",
    "diabetes asthma cancer pneumonia arthritis",
    "wheat corn barley oats",
];
