//! What the words of a label say: rules in order, of which the first that matches counts.

/// The words of a label in lower case, apart and joined by spaces.
struct Wording {
    words: Vec<String>,
    phrase: String,
}

/// A rule: what it gives, and the wordings that it matches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule<T> {
    gives: T,
    words: &'static [&'static str],
    phrases: &'static [&'static str],
    whole: &'static [&'static str],
    begins: &'static [&'static str],
    ends: &'static [&'static str],
    unless_words: &'static [&'static str],
    unless_phrases: &'static [&'static str],
}

impl<T: Copy> Rule<T> {
    /// Matches labels that have one of these words, also in the plural.
    pub(crate) const fn words(gives: T, words: &'static [&'static str]) -> Self {
        Self {
            gives,
            words,
            phrases: &[],
            whole: &[],
            begins: &[],
            ends: &[],
            unless_words: &[],
            unless_phrases: &[],
        }
    }

    /// Matches labels that hold one of these phrases.
    pub(crate) const fn phrases(gives: T, phrases: &'static [&'static str]) -> Self {
        Self::words(gives, &[]).or_phrases(phrases)
    }

    /// Also matches labels that hold one of these phrases.
    pub(crate) const fn or_phrases(mut self, phrases: &'static [&'static str]) -> Self {
        self.phrases = phrases;
        self
    }

    /// Also matches a label that is one of these phrases.
    pub(crate) const fn or_whole(mut self, whole: &'static [&'static str]) -> Self {
        self.whole = whole;
        self
    }

    /// Also matches labels that begin with one of these.
    pub(crate) const fn or_begins(mut self, begins: &'static [&'static str]) -> Self {
        self.begins = begins;
        self
    }

    /// Also matches labels that end with one of these.
    pub(crate) const fn or_ends(mut self, ends: &'static [&'static str]) -> Self {
        self.ends = ends;
        self
    }

    /// Matches no label that has one of these words.
    pub(crate) const fn unless_words(mut self, words: &'static [&'static str]) -> Self {
        self.unless_words = words;
        self
    }

    /// Matches no label that holds one of these phrases.
    pub(crate) const fn unless_phrases(mut self, phrases: &'static [&'static str]) -> Self {
        self.unless_phrases = phrases;
        self
    }

    fn matches(&self, label: &Wording) -> bool {
        let phrase = label.phrase.as_str();
        let any = |list: &[&str], is: &dyn Fn(&str) -> bool| list.iter().any(|one| is(one));
        let matches = label.has(self.words)
            || label.says(self.phrases)
            || any(self.whole, &|one| phrase == one)
            || any(self.begins, &|one| phrase.starts_with(one))
            || any(self.ends, &|one| phrase.ends_with(one));
        matches && !label.has(self.unless_words) && !label.says(self.unless_phrases)
    }
}

impl Wording {
    fn of(label: &str) -> Self {
        let label = label.to_lowercase().replace("e-mail", "email");
        let words: Vec<String> = label
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let phrase = words.join(" ");
        Self { words, phrase }
    }

    fn has(&self, any: &[&str]) -> bool {
        self.words.iter().any(|word| {
            any.contains(&word.as_str())
                || word.strip_suffix('s').is_some_and(|one| any.contains(&one))
        })
    }

    fn says(&self, any: &[&str]) -> bool {
        any.iter().any(|wording| self.phrase.contains(wording))
    }
}

/// What the first rule gives that matches a label.
pub(crate) fn first<T: Copy>(rules: &[Rule<T>], label: &str) -> Option<T> {
    let label = Wording::of(label);
    let rule = rules.iter().find(|rule| rule.matches(&label));
    rule.map(|rule| rule.gives)
}
