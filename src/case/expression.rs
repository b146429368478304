//! An expression: the `when` of a row, in CEL, compiled once and evaluated on one signal. It refines what matchers
//! selected; it sees no clock, and can neither loop nor compile anything while it runs.
//!
//! Variables: `signal.{name,source,severity,service,labels}`, `suspect.{release,version,commit,author,change,kind,
//! service,labels}`, `service.{name,environment,tier}` and the service's figures. What is not known (a label that the
//! signal lacks, a suspect without a version) is no empty text here but an error, and an error is a *no*: two missing
//! regions are not equal. `has(signal.labels.region)` asks whether it is known.

use std::fmt;
use std::sync::Arc;

use cel::common::traits::{Container, Indexer};
use cel::common::types::{CelDouble, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{Context, ExecutionError, Program, Value};

use super::brief::{Brief, BriefSignal, CandidateFacts};
use super::formula::{Fields, compile, scene, short};
use super::signal::Labels;

pub use super::formula::{EXPRESSION_MAX, ExpressionFault};

const SIGNAL_FIELDS: &[&str] = &["name", "source", "severity", "service", "labels"];
const SUSPECT_FIELDS: &[&str] =
    &["release", "version", "commit", "author", "change", "kind", "service", "labels"];
/// What an expression can look at.
const NAMES: &[(&str, Fields)] = &[
    ("signal", Fields::These(SIGNAL_FIELDS)),
    ("suspect", Fields::These(SUSPECT_FIELDS)),
    ("service", Fields::Any),
];

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    text: String,
    program: Arc<Program>,
}

impl Expression {
    /// Compiles an expression, and tries it on a sample, so that what can be known to fail fails now.
    ///
    /// # Errors
    /// When it is longer than [`EXPRESSION_MAX`]; cannot be read; names a variable, field or function that is not there;
    /// calls `matches`, which would compile its pattern on every call; loops by `all`, `exists`, `exists_one`, `map`
    /// or `filter`, whose cost nothing bounds; or gives something else than yes or no.
    pub fn parse(text: &str) -> Result<Expression, ExpressionFault> {
        let program = compile(text, NAMES)?;
        let expression = Expression { text: text.to_owned(), program };
        expression.try_on_sample()?;
        Ok(expression)
    }

    /// Whether it holds.
    ///
    /// # Errors
    /// Why it cannot be evaluated, in a sentence; the row then answers *no*.
    pub fn evaluate(
        &self,
        signal: &BriefSignal,
        suspect: Option<&CandidateFacts>,
        brief: &Brief,
    ) -> Result<bool, String> {
        self.holds_in(&Scene::new(signal, suspect, brief))
    }

    /// Whether it holds in a scene that several expressions share.
    ///
    /// # Errors
    /// As [`Expression::evaluate`].
    pub fn holds_in(&self, scene: &Scene<'_>) -> Result<bool, String> {
        match self.program.execute(&scene.context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("it gives {} and not yes or no", other.type_of())),
            Err(error) => Err(short(&error.to_string())),
        }
    }

    /// The text that it was compiled from.
    pub fn text(&self) -> &str {
        &self.text
    }

    fn try_on_sample(&self) -> Result<(), ExpressionFault> {
        let scene = Scene::of(View::Sample(SIGNAL_FIELDS), View::Sample(SUSPECT_FIELDS), View::AnyFigure);
        let message = match self.program.execute(&scene.context) {
            Ok(Value::Bool(_)) => return Ok(()),
            Ok(other) => format!("it gives {} and not yes or no", other.type_of()),
            Err(error @ (ExecutionError::UndeclaredReference(_) | ExecutionError::NoSuchOverload(_))) => {
                short(&error.to_string())
            }
            // Anything else may come from the sample's values, which are not those of a real signal.
            Err(_) => return Ok(()),
        };
        Err(ExpressionFault { line: 1, column: 1, message })
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// What the expressions of all rows look at, for one signal of one brief.
pub struct Scene<'a> {
    context: Context<'a, 'a>,
}

impl<'a> Scene<'a> {
    /// The scene of this signal and suspect. Values are read when an expression asks for them.
    pub fn new(signal: &'a BriefSignal, suspect: Option<&'a CandidateFacts>, brief: &'a Brief) -> Scene<'a> {
        let suspect = suspect.map_or(View::Nothing, View::Suspect);
        Scene::of(View::Signal(signal), suspect, View::Service(brief))
    }

    fn of(signal: View<'a>, suspect: View<'a>, service: View<'a>) -> Scene<'a> {
        let mut context = scene();
        for (name, view) in [("signal", signal), ("suspect", suspect), ("service", service)] {
            context.add_variable_as_val(name, Box::new(view));
        }
        Scene { context }
    }
}

impl fmt::Debug for Scene<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scene")
    }
}

/// A variable: its fields are looked up in our own types when they are asked for, and cannot be iterated over.
#[derive(Clone, Copy, Debug)]
enum View<'a> {
    Signal(&'a BriefSignal),
    Suspect(&'a CandidateFacts),
    Service(&'a Brief),
    Labels(&'a Labels),
    /// There is no suspect.
    Nothing,
    /// At load: these fields, each an empty text, but for labels.
    Sample(&'static [&'static str]),
    /// At load: any label.
    AnyLabel,
    /// At load: the service's texts, and any figure.
    AnyFigure,
}

/// What a field holds.
enum Field<'a> {
    Text(&'a str),
    Number(f64),
    Inner(View<'a>),
}

impl<'a> View<'a> {
    fn field(self, name: &str) -> Option<Field<'a>> {
        match self {
            View::Signal(signal) => match name {
                "name" => Some(Field::Text(signal.name.as_str())),
                "source" => Some(Field::Text(signal.source.as_str())),
                "severity" => signal.labels.get("severity").map(|text| Field::Text(text)),
                "service" => Some(Field::Text(signal.about.as_str())),
                "labels" => Some(Field::Inner(View::Labels(&signal.labels))),
                _ => None,
            },
            View::Suspect(suspect) => match name {
                "release" => Some(Field::Text(suspect.release.as_str())),
                "version" => suspect.version.as_deref().map(Field::Text),
                "commit" => suspect.commit.as_deref().map(Field::Text),
                "author" => suspect.author.as_deref().map(Field::Text),
                "change" => suspect.change.as_ref().map(|change| Field::Text(change.as_str())),
                "kind" => Some(Field::Text(suspect.kind.word())),
                "service" => Some(Field::Text(suspect.service.as_str())),
                "labels" => Some(Field::Inner(View::Labels(&suspect.labels))),
                _ => None,
            },
            View::Service(brief) => match name {
                "name" => Some(Field::Text(brief.service.name())),
                "environment" => Some(Field::Text(brief.service.environment())),
                "tier" => brief.tier.as_deref().map(Field::Text),
                figure => brief.figures.get(figure).copied().map(Field::Number),
            },
            View::Labels(labels) => labels.get(name).map(|text| Field::Text(text)),
            View::Nothing => None,
            View::Sample(_) if name == "labels" => Some(Field::Inner(View::AnyLabel)),
            View::Sample(fields) => fields.contains(&name).then_some(Field::Text("")),
            View::AnyLabel => Some(Field::Text("")),
            View::AnyFigure if matches!(name, "name" | "environment" | "tier") => Some(Field::Text("")),
            View::AnyFigure => Some(Field::Number(1.0)),
        }
    }

    fn value<'v>(self, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        'a: 'v,
    {
        let Ok(name) = <&str>::try_from(key) else {
            return Err(ExecutionError::UnexpectedType {
                got: key.get_type().name().to_owned(),
                want: "string".to_owned(),
            });
        };
        match self.field(name) {
            Some(Field::Text(text)) => Ok(Box::new(CelString::from(text))),
            Some(Field::Number(number)) => Ok(Box::new(CelDouble::from(number))),
            Some(Field::Inner(view)) => Ok(Box::new(view)),
            None => Err(ExecutionError::no_such_key(name)),
        }
    }
}

impl<'a> Val for View<'a> {
    fn get_type(&self) -> &Type {
        &DYN_TYPE
    }

    fn cel_type() -> &'static Type {
        &DYN_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }
}

impl Indexer for View<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.value(key).map(CowVal::from)
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.value(key)
    }
}

impl Container for View<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        match self.value(key) {
            Ok(_) => Ok(true),
            Err(ExecutionError::NoSuchKey(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
