//! An expression: the `when` of a row, in CEL, compiled once and evaluated on one signal. It refines what matchers
//! selected; it sees no clock, and can neither loop nor compile anything while it runs.
//!
//! Variables: `signal.{name,source,severity,service,labels}`, `suspect.{release,version,commit,author,change,kind,
//! service,labels}`, `service.{name,environment,tier}` and the service's figures. What is not known (a label that the
//! signal lacks, a suspect without a version) is no empty text here but an error, and an error is a *no*: two missing
//! regions are not equal. `has(signal.labels.region)` asks whether it is known.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what is not looked for in a foreign syntax tree is refused or passed as a whole"
)]

use std::fmt;
use std::sync::{Arc, LazyLock};

use cel::common::ast::{CallExpr, EntryExpr, Expr, SelectExpr, SourceInfo};
use cel::common::traits::{Container, Indexer};
use cel::common::types::{CelDouble, CelString, DYN_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{Context, Env, ExecutionError, IdedExpr, Program, Value};

use super::brief::{Brief, BriefSignal, CandidateFacts};
use super::signal::Labels;

/// The longest expression, in bytes: evaluation cannot be cut off, so its length is what bounds it.
pub const EXPRESSION_MAX: usize = 512;
/// The longest error text that is kept: it may quote labels.
const ERROR_MAX: usize = 200;

const SIGNAL_FIELDS: &[&str] = &["name", "source", "severity", "service", "labels"];
const SUSPECT_FIELDS: &[&str] =
    &["release", "version", "commit", "author", "change", "kind", "service", "labels"];

/// The functions that an expression may call: cheap ones, whose cost is bounded by the length of what they look at.
const FUNCTIONS: &[&str] =
    &["size", "contains", "startsWith", "endsWith", "string", "int", "uint", "double", "bool"];
/// Written as operators; the parser spells them as functions.
const OPERATORS: &[&str] = &[
    "_?_:_", "_&&_", "_||_", "!_", "-_", "_-_", "_+_", "_*_", "_/_", "_%_", "_==_", "_!=_", "_>=_", "_<=_",
    "_>_", "_<_", "_[_]", "@in",
];

/// The standard library, built once: it is the same for every table.
static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// A compiled expression.
#[derive(Clone)]
pub struct Expression {
    text: String,
    program: Arc<Program>,
}

/// What is wrong with an expression's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ExpressionFault {
    /// The line, from 1.
    pub line: usize,
    /// The column in it, from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

impl Expression {
    /// Compiles an expression, and tries it on a sample, so that what can be known to fail fails now.
    ///
    /// # Errors
    /// When it is longer than [`EXPRESSION_MAX`]; cannot be read; names a variable, field or function that is not there;
    /// calls `matches`, which would compile its pattern on every call; loops by `all`, `exists`, `exists_one`, `map`
    /// or `filter`, whose cost nothing bounds; or gives something else than yes or no.
    pub fn parse(text: &str) -> Result<Expression, ExpressionFault> {
        if text.len() > EXPRESSION_MAX {
            let message = format!("the expression has {} bytes; {EXPRESSION_MAX} are allowed", text.len());
            return Err(ExpressionFault { line: 1, column: 1, message });
        }
        let program = ENVIRONMENT.compile(text).map_err(|errors| {
            let first = errors.errors.first();
            let (line, column) = first.map_or((1, 1), |error| error.pos);
            ExpressionFault {
                line: usize::try_from(line).unwrap_or(1).max(1),
                column: usize::try_from(column).unwrap_or(1).max(1),
                message: first.map_or_else(|| "it cannot be read".to_owned(), |error| error.msg.clone()),
            }
        })?;
        Inspection { source: program.source_info() }.look(program.expression())?;
        let expression = Expression { text: text.to_owned(), program: Arc::new(program) };
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

fn short(text: &str) -> String {
    match text.char_indices().nth(ERROR_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
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
        let mut context = Context::with_env(ENVIRONMENT.clone());
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

/// The look over a compiled expression for what the sample would not reach, such as the other side of an `||`.
struct Inspection<'s> {
    source: &'s SourceInfo,
}

impl Inspection<'_> {
    fn look(&self, node: &IdedExpr) -> Result<(), ExpressionFault> {
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) if matches!(name.as_str(), "signal" | "suspect" | "service") => Ok(()),
            Expr::Ident(name) => {
                self.refuse(node, format!("{name:?} is unknown; there are signal, suspect and service"))
            }
            Expr::Call(call) => self.look_at_call(node, call),
            Expr::Select(select) => self.look_at_field(node, select),
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.look(element)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => self.look(&entry.key).and_then(|()| self.look(&entry.value)),
                EntryExpr::StructField(field) => self.look(&field.value),
            }),
            Expr::Comprehension(_) => self.refuse(
                node,
                "all, exists, exists_one, map and filter are not available: nothing bounds their cost".into(),
            ),
            Expr::Struct(made) => self.refuse(node, format!("{:?} cannot be made here", made.type_name)),
        }
    }

    fn look_at_call(&self, node: &IdedExpr, call: &CallExpr) -> Result<(), ExpressionFault> {
        let name = call.func_name.as_str();
        if name == "matches" {
            let message =
                "matches is not available: it compiles its pattern on every call; use a matcher, name=~\"…\"";
            return self.refuse(node, message.into());
        }
        if !FUNCTIONS.contains(&name) && !OPERATORS.contains(&name) {
            return self
                .refuse(node, format!("{name:?} is no function here; there are {}", FUNCTIONS.join(", ")));
        }
        call.target.iter().try_for_each(|target| self.look(target))?;
        call.args.iter().try_for_each(|argument| self.look(argument))
    }

    fn look_at_field(&self, node: &IdedExpr, select: &SelectExpr) -> Result<(), ExpressionFault> {
        let known = match &select.operand.expr {
            Expr::Ident(name) if name == "signal" => Some(SIGNAL_FIELDS),
            Expr::Ident(name) if name == "suspect" => Some(SUSPECT_FIELDS),
            _ => None,
        };
        if let Some(known) = known.filter(|known| !known.contains(&select.field.as_str())) {
            let message = format!("there is no field {:?}; there are {}", select.field, known.join(", "));
            return self.refuse(node, message);
        }
        self.look(&select.operand)
    }

    fn refuse(&self, node: &IdedExpr, message: String) -> Result<(), ExpressionFault> {
        let (line, column) = self.place(node);
        Err(ExpressionFault { line, column, message })
    }

    fn place(&self, node: &IdedExpr) -> (usize, usize) {
        let Some((start, _)) = self.source.offset_for(node.id) else { return (1, 1) };
        let before: String = self.source.source.chars().take(start as usize).collect();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
        (line, column)
    }
}
