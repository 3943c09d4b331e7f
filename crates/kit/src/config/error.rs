//! What is wrong with a configuration: everything at once, with file, line and what was expected.

use std::fmt;
use std::ops::Range;

use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: bytes of the file, or a variable.
    place: Place,
    /// What: a sentence.
    message: String,
    /// What stands there, or what to write instead.
    label: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    File(Range<usize>),
    Variable(String),
    Nowhere,
}

impl Fault {
    pub(super) fn in_file(span: Range<usize>, message: String, label: String) -> Self {
        Self { place: Place::File(span), message, label }
    }

    pub(super) fn in_variable(name: &str, message: String) -> Self {
        Self { place: Place::Variable(name.to_owned()), message, label: String::new() }
    }

    pub(super) fn whole(message: String) -> Self {
        Self { place: Place::Nowhere, message, label: String::new() }
    }
}

/// Everything that is wrong with a configuration.
///
/// `Display` gives a plain line for each fault (`file:line: message`); [`ConfigError::render`] shows the lines
/// of the file too. It is up to the program to end with status 2.
#[derive(Debug)]
pub struct ConfigError {
    file: String,
    source: NamedSource<String>,
    text: String,
    faults: Vec<Fault>,
}

impl ConfigError {
    pub(super) fn new(file: &str, text: &str, faults: Vec<Fault>) -> Self {
        let source = NamedSource::new(file, text.to_owned());
        Self { file: file.to_owned(), source, text: text.to_owned(), faults }
    }

    /// How many things are wrong.
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// For a person at a terminal: every fault below the line of the file where it stands.
    pub fn render(&self) -> String {
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor()).with_width(100);
        let mut out = String::new();
        for fault in &self.faults {
            let report = Report { fault, line: self.line(fault), source: &self.source };
            if handler.render_report(&mut out, &report).is_err() {
                return self.to_string();
            }
        }
        out
    }

    /// `place: message` in one line.
    fn line(&self, fault: &Fault) -> String {
        match &fault.place {
            Place::File(span) => {
                let before = self.text.get(..span.start).unwrap_or(&self.text);
                let line = before.matches('\n').count() + 1;
                format!("{}:{line}: {}", self.file, fault.message)
            }
            Place::Variable(name) => format!("variable {name}: {}", fault.message),
            Place::Nowhere => format!("{}: {}", self.file, fault.message),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            let end = if index + 1 == self.faults.len() { "" } else { "\n" };
            let label = if fault.label.is_empty() { String::new() } else { format!(" ({})", fault.label) };
            write!(out, "{}{label}{end}", self.line(fault))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One fault as miette wants it.
struct Report<'a> {
    fault: &'a Fault,
    line: String,
    source: &'a NamedSource<String>,
}

impl fmt::Debug for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.line)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.line)
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        matches!(self.fault.place, Place::File(_)).then_some(self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let Place::File(span) = &self.fault.place else { return None };
        let label = LabeledSpan::new(Some(self.fault.label.clone()), span.start, span.len());
        Some(Box::new(std::iter::once(label)))
    }
}
