//! What the names of a model's classes say: which category each is of, and which part of an entity it marks.
//!
//! In:  class names in the order of the logits.
//! Out: [`Scheme`]: for each category the classes that score B, I, E and S.
//! Holds: schemes with fewer parts than BIOES are read so that the same paths win: BIO has no E and no S, IOB1 begins
//!        with I, and IO has one class for all.
//!
//! Prefixes are those of `seqeval` and of the tagging literature: B, I (or M), E (or L), S (or U).

/// The classes of a model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scheme {
    /// Classes in all.
    pub(super) classes: usize,
    /// The class of what is no entity.
    pub(super) outside: usize,
    /// Names of the categories, in the order of their first classes.
    pub(super) categories: Vec<String>,
    /// What scores B, I, E and S of each category.
    pub(super) lanes: Vec<[Part; 4]>,
}

/// What scores one part of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The logit of a class.
    Class(usize),
    /// The greater logit of two: IOB1 begins an entity with I, and with B only behind another one.
    Either(usize, usize),
    /// The model has no class for it.
    Never,
}

/// Score of what a model has no class for: below each logit, and finite, so that sums stay numbers.
const NEVER: f32 = -1e6;

/// Class of what is no entity, where the manifest does not name another.
const OUTSIDE: &str = "O";

/// Classes of one category, by part.
#[derive(Debug, Clone, Copy, Default)]
struct Own {
    begin: Option<usize>,
    inside: Option<usize>,
    end: Option<usize>,
    single: Option<usize>,
    /// Without a prefix.
    plain: Option<usize>,
}

impl Part {
    /// Its score at a step with these logits.
    pub(super) fn score(self, logits: &[f32]) -> f32 {
        match self {
            Self::Class(at) => logits[at],
            Self::Either(a, b) => logits[a].max(logits[b]),
            Self::Never => NEVER,
        }
    }
}

impl Scheme {
    /// Reads names. `outside`: the class of what is no entity, if it is not called `O`.
    ///
    /// # Errors
    ///
    /// Why the names say nothing, and what to do.
    pub(super) fn new(classes: &[String], outside: Option<&str>) -> Result<Self, String> {
        if let Some(numbered) = classes.iter().find(|class| is_numbered(class)) {
            return Err(format!(
                "the class `{numbered}` says nothing about what it marks: list the names in head.classes of a pack.toml"
            ));
        }
        let wanted = outside.unwrap_or(OUTSIDE);
        let Some(none) = classes.iter().position(|class| class == wanted) else {
            return Err(format!(
                "no class is named `{wanted}`: name the class of what is no entity in head.outside of a pack.toml; \
                 the classes are {}",
                classes.join(", ")
            ));
        };
        let is_parted = |category: &str| {
            let is_entry = |class: &String| {
                part(class)
                    .is_some_and(|(part, own)| own == category && matches!(part, 'B' | 'I' | 'S'))
            };
            classes.iter().any(is_entry)
        };
        let mut categories: Vec<String> = Vec::new();
        let mut owns: Vec<Own> = Vec::new();
        for (at, class) in classes.iter().enumerate() {
            if at == none {
                continue;
            }
            // `E-mail` is a category, unless there is a `B-mail` or the like.
            let parted = part(class).filter(|(_, category)| is_parted(category));
            let category = parted.map_or(class.as_str(), |(_, category)| category);
            let known = categories.iter().position(|known| known == category);
            let place = known.unwrap_or_else(|| {
                categories.push(category.to_owned());
                owns.push(Own::default());
                owns.len() - 1
            });
            let own = &mut owns[place];
            let slot = match parted.map(|(part, _)| part) {
                Some('B') => &mut own.begin,
                Some('I') => &mut own.inside,
                Some('E') => &mut own.end,
                Some(_) => &mut own.single,
                None => &mut own.plain,
            };
            if slot.replace(at).is_some() {
                return Err(format!("the class `{class}` is defined twice"));
            }
        }
        if categories.is_empty() {
            return Err("the model has no class but that of what is no entity".to_owned());
        }
        // IOB1: I begins an entity, and B one that stands directly behind another of its category. A model of this
        // scheme has no B of a category that never does.
        let iob1 = owns
            .iter()
            .any(|own| own.inside.is_some() && own.begin.is_none() && own.single.is_none());
        Ok(Self {
            classes: classes.len(),
            outside: none,
            lanes: owns.iter().map(|own| own.lane(iob1)).collect(),
            categories,
        })
    }
}

impl Own {
    fn lane(self, iob1: bool) -> [Part; 4] {
        let class = |own: Option<usize>| own.map_or(Part::Never, Part::Class);
        if let Some(plain) = self.plain {
            return [Part::Class(plain); 4];
        }
        let inside = class(self.inside);
        let begin = match (self.begin, self.inside) {
            (Some(begin), Some(inside)) if iob1 => Part::Either(begin, inside),
            (None, Some(inside)) if iob1 => Part::Class(inside),
            (begin, _) => class(begin),
        };
        // Where a scheme has neither E nor S, I and B stand for them.
        let end = self.end.map_or(inside, Part::Class);
        let single = self.single.map_or(begin, Part::Class);
        [begin, inside, end, single]
    }
}

/// The part that a class name begins with, and the category behind it. `M` is I, `L` is E, `U` is S.
fn part(class: &str) -> Option<(char, &str)> {
    let (prefix, category) = class.split_once(['-', '_'])?;
    let part = match prefix {
        "B" => 'B',
        "I" | "M" => 'I',
        "E" | "L" => 'E',
        "S" | "U" => 'S',
        _ => return None,
    };
    (!category.is_empty()).then_some((part, category))
}

/// `LABEL_3` is what `transformers` calls a class that nobody named.
fn is_numbered(class: &str) -> bool {
    let number = class.strip_prefix("LABEL_");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme(classes: &str) -> Result<Scheme, String> {
        let classes: Vec<String> = classes.split(' ').map(str::to_owned).collect();
        Scheme::new(&classes, None)
    }

    /// B, I, E and S of the first category as class numbers; `+` joins two, `.` is none.
    fn first(classes: &str) -> String {
        let told = scheme(classes).unwrap().lanes[0].map(|part| match part {
            Part::Class(at) => at.to_string(),
            Part::Either(a, b) => format!("{a}+{b}"),
            Part::Never => ".".to_owned(),
        });
        told.join(" ")
    }

    #[test]
    fn every_published_scheme_is_read() {
        for (classes, lane) in [
            ("O B-x I-x", "1 2 2 1"),
            ("O B-x I-x E-x S-x", "1 2 3 4"),
            ("O U-x L-x I-x B-x", "4 3 2 1"),
            ("B-x M-x E-x S-x O", "0 1 2 3"),
            ("O B_x I_x", "1 2 2 1"),
            // IOB1, as the CoNLL models of the hub have it: no B-PER at all.
            ("I-x B-LOC I-LOC O", "0 0 0 0"),
            ("B-x I-x I-PER O", "0+1 1 1 0+1"),
            ("O x y", "1 1 1 1"),
            ("x O", "0 0 0 0"),
            // A category of single words.
            ("O S-x", ". . . 1"),
            ("O B-x", "1 . . 1"),
        ] {
            assert_eq!(first(classes), lane, "{classes}");
        }
    }

    #[test]
    fn a_name_that_begins_like_a_prefix_is_a_name() {
        let found = scheme("O E-mail B-person I-person S_code").unwrap();
        assert_eq!(found.categories, ["E-mail", "person", "code"]);
        let found = scheme("O B-mail I-mail E-mail").unwrap();
        assert_eq!(found.categories, ["mail"]);
        let found = scheme("O private_email U-boat").unwrap();
        assert_eq!(found.categories, ["private_email", "boat"]);
    }

    #[test]
    fn classes_that_say_nothing_are_refused_with_what_to_do() {
        for (classes, said) in [
            ("LABEL_0 LABEL_1", "head.classes"),
            ("O B-x LABEL_12", "`LABEL_12`"),
            ("B-x I-x", "head.outside"),
            ("O B-x I-x B-x", "`B-x` is defined twice"),
            ("O", "no class but"),
        ] {
            let problem = scheme(classes).unwrap_err();
            assert!(problem.contains(said), "{classes}: {problem}");
        }
        assert!(scheme("O LABEL_A").is_ok());
    }

    #[test]
    fn the_class_of_nothing_may_have_another_name() {
        let classes = ["none", "x"].map(str::to_owned);
        assert_eq!(Scheme::new(&classes, Some("none")).unwrap().outside, 0);
        assert!(Scheme::new(&classes, Some("O")).is_err());
    }
}
