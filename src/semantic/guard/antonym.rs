//! Words of opposite meaning: what turns a question into its opposite while all else stays. Compared
//! only where each side has a word that the other has not.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::sync::LazyLock;

use super::Fingerprint;
use super::mark::{Mark, Spread};
use super::word::{Alone, PREFIXED, PREFIXES, Word, key};

/// Opposites by mark.
#[derive(Clone, Debug, Default)]
pub(super) struct Opposites(HashMap<Mark, Vec<Mark>, BuildHasherDefault<Spread>>);

impl Opposites {
    /// From pairs of words.
    pub(super) fn of<'w>(pairs: impl IntoIterator<Item = (&'w str, &'w str)>) -> Self {
        let mut opposites = Self::default();
        for (one, other) in pairs {
            opposites.add(key(one), key(other));
        }
        opposites
    }

    fn add(&mut self, one: Mark, other: Mark) {
        self.0.entry(one).or_default().push(other);
        self.0.entry(other).or_default().push(one);
    }

    /// Whether one of `these` is the opposite of one of `those`.
    fn part(&self, these: &[Mark], those: &[Mark]) -> bool {
        !self.0.is_empty()
            && these.iter().any(|word| {
                let opposites = self.0.get(word).map_or(&[][..], Vec::as_slice);
                opposites.iter().any(|opposite| those.contains(opposite))
            })
    }
}

/// Whether a word of one side is the opposite of a word of the other.
pub(super) fn differ(a: &Fingerprint, b: &Fingerprint, alone: &Alone, own: &Opposites) -> bool {
    OPPOSITES.part(&alone.a, &alone.b)
        || a.denies != b.denies && DENIALS.part(&alone.a, &alone.b)
        || own.part(&alone.a, &alone.b)
        || denied(a, b)
        || denied(b, a)
        || han_differ(&a.letters.0, &b.letters.0)
}

/// Whether a word of `b` is one of `a` behind a prefix that denies it: `install`, `uninstall`.
fn denied(a: &Fingerprint, b: &Fingerprint) -> bool {
    let alone = |side: &'_ Fingerprint, other: &Fingerprint| -> Vec<Word> {
        let words = side.words.iter().copied();
        words
            .filter(|word| other.vocabulary.binary_search(&word.mark).is_err())
            .collect()
    };
    if !b.words.iter().any(|word| word.is(PREFIXED)) {
        return false;
    }
    let (shorter, longer) = (alone(a, b), alone(b, a));
    longer.iter().filter(|word| word.is(PREFIXED)).any(|word| {
        let text = b.letters.at(word.span);
        let rests = PREFIXES
            .iter()
            .filter_map(|prefix| text.strip_prefix(prefix));
        let mut rests = rests.filter(|rest| rest.chars().count() > 3);
        rests.any(|rest| shorter.iter().any(|word| a.letters.at(word.span) == rest))
    })
}

/// Chinese has no spaces: an opposite is a piece of text that the other side lacks.
fn han_differ(a: &str, b: &str) -> bool {
    let han = |text: &str| !text.is_ascii() && text.chars().any(super::token::is_han);
    han(a) && han(b) && {
        let parted = |one: &str, other: &str| {
            a.contains(one) && b.contains(other) && !b.contains(one) && !a.contains(other)
        };
        HAN.iter()
            .any(|(one, other)| parted(one, other) || parted(other, one))
    }
}

static OPPOSITES: LazyLock<Opposites> = LazyLock::new(|| {
    Opposites::of(
        PAIRS
            .split(',')
            .filter_map(|pair| pair.trim().split_once(' ')),
    )
});

/// Opposites only where one side denies: "with no eggs" is "without eggs".
static DENIALS: LazyLock<Opposites> = LazyLock::new(|| {
    Opposites::of([
        ("with", "without"),
        ("mit", "ohne"),
        ("con", "sin"),
        ("avec", "sans"),
    ])
});

const PAIRS: &str = "enable disable, enable deactivate, activate disable, enable block, increase reduce, decrease raise, major minor, activate deactivate, on off, open close, open closed, opened closed, \
     opening closing, start stop, begin end, increase decrease, increasing decreasing, \
     raise lower, raise reduce, rise fall, rises falls, rising falling, up down, buy sell, \
     buying selling, add remove, add delete, insert delete, create delete, install uninstall, \
     subscribe unsubscribe, mute unmute, lock unlock, encrypt decrypt, encode decode, \
     compress decompress, zip unzip, upload download, import export, push pull, push pop, \
     attach detach, mount unmount, connect disconnect, login logout, allow block, allow deny, \
     allow forbid, allowed forbidden, accept reject, accept decline, accepted rejected, \
     accepting declining, approve reject, approve deny, grant revoke, grant refuse, \
     grants refuses, granting refusing, grant deny, hire fire, gain lose, win lose, won lost, \
     before after, prior after, earlier later, early late, earliest latest, first last, \
     oldest newest, older newer, older younger, old young, old new, over under, above below, \
     more less, more fewer, most least, most fewest, max min, maximum minimum, \
     maximize minimize, largest smallest, larger smaller, biggest smallest, bigger smaller, \
     big small, large small, greatest smallest, greater smaller, greater less, longest shortest, \
     longer shorter, long short, highest lowest, higher lower, high low, tallest shortest, \
     tallest smallest, taller shorter, hot cold, hotter colder, hottest coldest, warm cold, \
     fast slow, faster slower, fastest slowest, cheap expensive, cheaper expensive, \
     cheapest expensive, best worst, better worse, good bad, heavy light, heavier lighter, \
     ascending descending, asc desc, increment decrement, inbound outbound, incoming outgoing, \
     input output, internal external, inside outside, public private, local remote, front back, \
     left right, top bottom, horizontal vertical, horizontally vertically, inner outer, \
     include exclude, includes excludes, including excluding, always never, \
     all none, everyone nobody, upgrade downgrade, promote demote, deposit withdraw, \
     deposit withdrawal, credit debit, lend borrow, lender borrower, buyer seller, \
     landlord tenant, employer employee, employers employees, plaintiff defendant, \
     manager employee, teacher student, doctor patient, parent child, husband wife, bride groom, \
     male female, man woman, men women, boy girl, boys girls, he she, him her, father mother, \
     brother sister, son daughter, advantages disadvantages, advantage disadvantage, pros cons, \
     benefits drawbacks, benefits risks, agree disagree, like dislike, love hate, true false, \
     positive negative, success failure, succeed fail, pass fail, legal illegal, \
     possible impossible, safe unsafe, safe dangerous, secure insecure, visible invisible, \
     valid invalid, correct incorrect, taxable nontaxable, mandatory optional, \
     mandatory forbidden, required optional, required forbidden, must may, today tomorrow, \
     today yesterday, tomorrow yesterday, morning evening, morning afternoon, morning night, \
     am pm, weekday weekend, weekdays weekends, next last, next previous, current previous, \
     current last, past future, short-term long-term, fixed variable, full-time part-time, \
     gross net, wholesale retail, import export, arrival departure, arrive depart, \
     arriving departing, arrives departs, arrives leaves, sunrise sunset, read write, \
     show hide, expand collapse, merge split, sync async, hard soft, client server, \
     staging production, dev prod, causes relieves, cause cure, prevent cause, formal casual, \
     formal informal, sweet sour, wet dry, north south, east west, northern southern, \
     eastern western, dead alive, rich poor, empty full, strong weak, plus minus, \
     multiply divide, sum difference, even odd, lengthen shorten, accelerate brake, \
     extend shorten, renew cancel, verlängern kündigen, einschalten ausschalten, ein aus, \
     aktivieren deaktivieren, kaufen verkaufen, mehr weniger, größer kleiner, größte kleinste, \
     teuer billig, öffnen schließen, vor nach, activar desactivar, activo desactivo, \
     abrir cerrar, comprar vender, más menos, barato caro, barata cara, antes después, \
     subir bajar, mayor menor, encender apagar, ouvrir fermer, acheter vendre, plus moins, \
     activer désactiver, avant après, grand petit, embaucher licencier, \
     augmenter diminuer, augmenter baisser, \
     can must, may cannot, free paid, gain loss, profit loss, sender recipient, sender receiver, \
     producer consumer, guest host, winner loser, victory defeat, enter exit, enter leave, \
     entrance exit, entry exit, solid liquid, single married, alive deceased, majority minority, \
     primary secondary, domestic international, domestic foreign, urban rural, predator prey, \
     acid alkaline, acidic alkaline, bullish bearish, static dynamic, commit rollback, \
     freeze thaw, freeze boil, melt freeze, expand contract, expand shrink, grow shrink, \
     inhale exhale, ascend descend, raw cooked, fresh frozen, wired wireless, online offline, \
     manual automatic, manually automatically, pause resume, backup restore, \
     temporary permanent, temporarily permanently, full partial, partially fully, prefix suffix, \
     global local, cause effect, \
     question answer, send receive, give receive, give take, lend return, \
     arrive leave, save spend, earn spend, save delete, archive delete, join leave, \
     follow block, attack defend, hide reveal, forget remember, \
     teach learn, sit stand, dry wet, thick thin, thicker thinner, wide narrow, deep shallow, \
     light dark, bright dark, sharp blunt, smooth rough, tight loose, tighten loosen, \
     ripe unripe, easy hard, easy difficult, simple complex, noisy quiet, loud quiet, \
     clean dirty, cooked raw, boiled fried, fattening slimming, gain shed, introvert extrovert, \
     optimist pessimist, ancestor descendant, ceiling floor, sunny rainy, minimum average, \
     total remaining, opening closing, departing returning, outbound return, one-way round-trip, \
     refundable nonrefundable, prepaid postpaid, renewable fossil, organic conventional, \
     positive neutral, import smuggle, debit deposit, above under, over below, upper lower, \
     uppercase lowercase, upstream downstream, uptime downtime, uphill downhill, \
     upstairs downstairs, indoor outdoor, indoors outdoors, clockwise counterclockwise, \
     clockwise anticlockwise, even uneven, leading trailing, left-handed right-handed, \
     northbound southbound, eastbound westbound, vorteil nachteil, vorteile nachteile, \
     ankunft abfahrt, ankunft abflug, ventaja desventaja, ventajas desventajas, llegada salida, \
     avantage inconvénient, avantages inconvénients, arrivée départ, encender desactivar, \
     gagner perdre, ganar perder, gewinnen verlieren, mieten vermieten, monter descendre, \
     entrer sortir, entrar salir, erlaubt verboten, permitido prohibido, permis interdit";

const HAN: [(&str, &str); 19] = [
    ("开启", "关闭"),
    ("打开", "关闭"),
    ("买入", "卖出"),
    ("买", "卖"),
    ("便宜", "贵"),
    ("增加", "减少"),
    ("提高", "降低"),
    ("上", "下"),
    ("包含", "不包含"),
    ("之前", "之后"),
    ("读取", "写入"),
    ("最大", "最小"),
    ("最高", "最低"),
    ("上传", "下载"),
    ("多", "少"),
    ("今天", "明天"),
    ("明天", "后天"),
    ("今天", "昨天"),
    ("早上", "晚上"),
];
