//! Prompts: which labels go into one, and the words around them and a text.

use std::{ops::Range, sync::Arc};

use icu_properties::{CodePointMapData, props::Script};

use super::{
    Dialect, Error, Grammar, Language, Prompt, Settings,
    answer::{Anchors, folded},
};
use crate::{digest, model::family::Ask};

/// Longest label, in bytes: a description of several sentences.
const LONGEST_LABEL: usize = 1000;

/// The prompts of B2NER as its authors give them (<https://github.com/UmeanNever/B2NER>, README).
const ENGLISH: &str = "Given the label set of entities, please recognize all the entities in the text. The answer format should be \"entity label: entity; entity label: entity\". \nLabel Set: {labels} \n\nText: {text} \nAnswer:";
const CHINESE: &str = "给定实体的标签范围，请识别文本中属于这些标签的所有实体。答案格式为 \"实体标签: 实体; 实体标签: 实体\"。\n标签范围: {labels}\n\n文本: {text} \n答案:";

/// Labels with one wording: they are one for the model.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Class {
    pub(super) wording: Arc<str>,
    /// Positions in [`Ask::labels`].
    pub(super) labels: Vec<usize>,
}

/// Labels that are asked in one prompt.
pub(super) struct Group {
    /// Positions of its classes among all.
    pub(super) classes: Range<usize>,
    /// As the prompt lists them.
    list: String,
    pub(super) anchors: Anchors,
    pub(super) grammar: Option<Rules>,
    /// Of all that changes an answer but the text.
    pub(super) key: [u8; 16],
}

/// A grammar for one request.
pub(super) struct Rules {
    pub(super) dialect: Dialect,
    pub(super) rules: String,
}

/// What is asked, in the words of a pack.
pub(super) struct Prompts {
    english: Parts,
    /// Of the prompt `b2ner`.
    chinese: Option<Parts>,
    language: Language,
    none: String,
    between: String,
}

/// A template between its gaps.
struct Parts {
    before: String,
    middle: String,
    after: String,
    /// Whether the labels stand before the text.
    labels_first: bool,
}

impl Parts {
    fn new(template: &str) -> Self {
        const TOLD: &str = "a template has both, as was checked when the pack was opened";
        let labels_first = template.find("{labels}") < template.find("{text}");
        let (first, second) = match labels_first {
            true => ("{labels}", "{text}"),
            false => ("{text}", "{labels}"),
        };
        let (before, rest) = template.split_once(first).expect(TOLD);
        let (middle, after) = rest.split_once(second).expect(TOLD);
        Self {
            before: before.to_owned(),
            middle: middle.to_owned(),
            after: after.to_owned(),
            labels_first,
        }
    }

    fn fill(&self, labels: &str, text: &str) -> String {
        let (first, second) = match self.labels_first {
            true => (labels, text),
            false => (text, labels),
        };
        [&self.before, first, &self.middle, second, &self.after].concat()
    }
}

impl Prompts {
    pub(super) fn new(settings: &Settings) -> Self {
        let (english, chinese, none, between) = match &settings.prompt {
            Prompt::Known(_) => (ENGLISH, Some(CHINESE), "None", ", "),
            Prompt::Own(own) => (&*own.template, None, &*own.none, &*own.between),
        };
        Self {
            english: Parts::new(english),
            chinese: chinese.map(Parts::new),
            language: settings.language,
            none: none.to_owned(),
            between: between.to_owned(),
        }
    }

    /// The prompt of a group and a window.
    pub(super) fn fill(&self, group: &Group, window: &str) -> String {
        let parts = match (&self.chinese, self.language) {
            (Some(chinese), Language::Zh) => chinese,
            (Some(chinese), Language::Auto) if is_chinese(window) => chinese,
            _ => &self.english,
        };
        parts.fill(&group.list, window)
    }

    /// The labels of what is asked, sorted and each wording once, and the groups in which they are asked.
    pub(super) fn groups(
        &self,
        settings: &Settings,
        ask: &Ask,
    ) -> Result<(Vec<Class>, Vec<Group>), Error> {
        let mut classes: Vec<(String, Class)> = Vec::new();
        for (at, label) in ask.labels.iter().enumerate() {
            let bytes = label.wording.len();
            // A prompt has its labels in one line.
            let wording = label
                .wording
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            let form = folded(&wording);
            if bytes > LONGEST_LABEL || form.is_empty() {
                return Err(Error::Label {
                    bytes,
                    limit: LONGEST_LABEL,
                });
            }
            match classes.iter_mut().find(|(known, _)| *known == form) {
                Some((_, class)) => class.labels.push(at),
                None => classes.push((
                    form,
                    Class {
                        wording: wording.into(),
                        labels: vec![at],
                    },
                )),
            }
        }
        classes.sort_by(|one, other| one.0.cmp(&other.0));
        let classes: Vec<Class> = classes.into_iter().map(|(_, class)| class).collect();
        let mut groups = Vec::new();
        let most = settings.labels_per_prompt;
        for start in (0..classes.len()).step_by(most) {
            let own = start..classes.len().min(start + most);
            groups.push(self.group(settings, &classes[own.clone()], own));
        }
        Ok((classes, groups))
    }

    fn group(&self, settings: &Settings, classes: &[Class], at: Range<usize>) -> Group {
        let wordings = || classes.iter().map(|class| &*class.wording);
        let list = wordings().collect::<Vec<_>>().join(&self.between);
        let grammar = settings
            .grammar
            .as_ref()
            .map(|grammar| self.rules(grammar, wordings()));
        let mut hasher = blake3::Hasher::new();
        digest::part(&mut hasher, &list);
        for class in wordings() {
            digest::part(&mut hasher, class);
        }
        Group {
            classes: at,
            anchors: Anchors::new(wordings(), &self.none),
            list,
            grammar,
            key: digest::key(&hasher),
        }
    }

    fn rules<'c>(&self, grammar: &Grammar, labels: impl Iterator<Item = &'c str>) -> Rules {
        let labels: Vec<String> = labels.map(quoted).collect();
        let labels = labels.join(" | ");
        let (dialect, rules) = match grammar {
            Grammar::Own { dialect, rules } => (*dialect, rules.replace("{labels}", &labels)),
            Grammar::Plain(dialect) => {
                let none = quoted(&format!(" {}", self.none));
                let rules = format!(
                    "root ::= {none} | \" \" item (\"; \" item)*\n\
                     item ::= label \": \" [^\\n]+\n\
                     label ::= {labels}\n"
                );
                (*dialect, rules)
            }
        };
        Rules { dialect, rules }
    }
}

/// A string of a grammar.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether more than half of the letters are Han.
fn is_chinese(text: &str) -> bool {
    let (mut han, mut letters) = (0_usize, 0_usize);
    for c in text.chars().filter(|c| c.is_alphabetic()) {
        letters += 1;
        han +=
            usize::from(!c.is_ascii() && CodePointMapData::<Script>::new().get(c) == Script::Han);
    }
    2 * han > letters
}

/// Most tokens that an answer may take for so many bytes of text: values and their labels, once over.
pub(super) fn answer_tokens(settings: &Settings, bytes: usize) -> usize {
    settings.max_answer_tokens.min(2 * tokens(bytes) + 64)
}

/// Tokens of a text of so many bytes, rather too many: without the server's tokenizer nobody knows.
pub(super) fn tokens(bytes: usize) -> usize {
    bytes.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::family::Label;

    fn settings(more: &str) -> Settings {
        toml::from_str(&format!("model = \"m\"\n{more}")).unwrap()
    }

    fn ask(labels: &[&str]) -> Ask {
        let labels = labels.iter().map(|wording| Label {
            wording: (*wording).into(),
            threshold: 0.4,
        });
        Ask {
            labels: labels.collect(),
            ..Ask::default()
        }
    }

    fn filled(settings: &Settings, labels: &[&str], text: &str) -> Vec<String> {
        let prompts = Prompts::new(settings);
        let (_, groups) = prompts.groups(settings, &ask(labels)).unwrap();
        groups
            .iter()
            .map(|group| prompts.fill(group, text))
            .collect()
    }

    #[test]
    fn the_prompts_are_those_that_b2ner_was_trained_with() {
        assert_eq!(
            filled(
                &settings(""),
                &["place", "person"],
                "Ana Ruiz lives in Rome."
            ),
            [
                "Given the label set of entities, please recognize all the entities in the text. The answer format should be \"entity label: entity; entity label: entity\". \nLabel Set: person, place \n\nText: Ana Ruiz lives in Rome. \nAnswer:"
            ]
        );
        assert_eq!(
            filled(&settings(""), &["人名", "地名"], "Moon住在北京和上海。"),
            [
                "给定实体的标签范围，请识别文本中属于这些标签的所有实体。答案格式为 \"实体标签: 实体; 实体标签: 实体\"。\n标签范围: 人名, 地名\n\n文本: Moon住在北京和上海。 \n答案:"
            ]
        );
        for (language, chinese) in [("auto", false), ("en", false), ("zh", true)] {
            let settings = settings(&format!("language = \"{language}\""));
            assert_eq!(
                filled(&settings, &["a"], "Ana 北")[0].starts_with('给'),
                chinese
            );
        }
    }

    #[test]
    fn labels_are_sorted_and_asked_once_in_groups_of_18() {
        let labels: Vec<String> = (0..40).map(|n| format!("label {n:02}")).collect();
        let mut labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let all = filled(&settings(""), &labels, "x");
        assert_eq!(all.len(), 3);
        assert!(
            all[0].contains("label 00, ") && all[0].contains("label 17 \n"),
            "{}",
            all[0]
        );
        labels.reverse();
        assert_eq!(
            filled(&settings(""), &labels, "x"),
            all,
            "their order does not matter"
        );
        labels.push("LABEL  07");
        assert_eq!(
            filled(&settings(""), &labels, "x").len(),
            3,
            "one wording is one label"
        );
        let settings = settings("labels_per_prompt = 40");
        assert_eq!(filled(&settings, &labels, "x").len(), 1);
    }

    #[test]
    fn a_template_is_filled_once() {
        let settings = settings(
            "prompt = { template = \"T {text} L {labels} A:\", none = \"-\", between = \" | \" }",
        );
        assert_eq!(
            filled(&settings, &["b", "a"], "{labels} {text}"),
            ["T {labels} {text} L a | b A:"]
        );
    }

    #[test]
    fn a_grammar_quotes_labels() {
        let own = "grammar = { dialect = \"llama.cpp\", rules = 'root ::= {labels}' }";
        for (more, rules) in [
            (own, "root ::= \"a \\\"b\\\"\" | \"c\""),
            (
                "grammar = \"vllm\"",
                "root ::= \" None\" | \" \" item (\"; \" item)*\nitem ::= label \": \" [^\\n]+\nlabel ::= \"a \\\"b\\\"\" | \"c\"\n",
            ),
        ] {
            let settings = settings(more);
            let (_, groups) = Prompts::new(&settings)
                .groups(&settings, &ask(&["c", "a \"b\""]))
                .unwrap();
            assert_eq!(groups[0].grammar.as_ref().unwrap().rules, rules);
        }
    }

    #[test]
    fn settings_that_make_no_sense_are_told() {
        for (more, told) in [
            ("labels_per_prompt = 0", "labels_per_prompt"),
            ("overlap_bytes = 400", "overlap_bytes"),
            ("window_bytes = 20", "window_bytes"),
            ("prompt = { template = \"{text}\" }", "{labels}"),
            (
                "prompt = { template = \"{text}{labels}\" }\nlanguage = \"zh\"",
                "language",
            ),
            ("stop = \"\"", "stop"),
        ] {
            let problem = settings(more).problem().unwrap_or_default();
            assert!(problem.contains(told), "{more}: {problem}");
        }
        assert_eq!(settings("").problem(), None);
    }

    #[test]
    fn a_label_has_words_and_a_length() {
        let settings = settings("");
        for label in ["", " \n", &"x".repeat(1001)] {
            assert!(
                Prompts::new(&settings)
                    .groups(&settings, &ask(&[label]))
                    .is_err()
            );
        }
    }
}
