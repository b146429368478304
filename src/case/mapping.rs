//! A mapping: how a message of a sender that nobody knows becomes alerts, by formulas over `body`, the whole message, and
//! `item`, one element of what `each` lists. Leaves to intake what a message is, and what becomes of an alert.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use cel::{Context, ExecutionError, Program, Value};

use super::formula::{ExpressionFault, Fields, compile, scene, short};

/// Alerts of one message: a sender that tells more at once is none that people set up by hand.
pub const ALERTS_MAX: usize = 1000;
/// Labels of one alert that a mapping names.
pub const LABELS_MAX: usize = 32;

/// What a formula of a mapping looks at.
const NAMES: &[(&str, Fields)] = &[("body", Fields::Any), ("item", Fields::Any)];

/// One formula: it gives a text, a number or a truth, or nothing where what it looks at is not there.
#[derive(Clone)]
pub struct Formula {
    text: String,
    program: Arc<Program>,
}

impl Formula {
    /// Compiles a formula.
    ///
    /// # Errors
    /// As [`compile`].
    pub fn parse(text: &str) -> Result<Formula, ExpressionFault> {
        Ok(Formula { text: text.to_owned(), program: compile(text, NAMES)? })
    }

    /// What it gives as a text; `None` where what it looks at is not there, is null, or is an empty text.
    fn text(&self, of: &str, context: &Context<'_, '_>) -> Result<Option<String>, String> {
        let text = match self.program.execute(context) {
            Ok(Value::String(text)) => (*text).clone(),
            Ok(Value::Int(number)) => number.to_string(),
            Ok(Value::UInt(number)) => number.to_string(),
            Ok(Value::Float(number)) => number.to_string(),
            Ok(Value::Bool(truth)) => truth.to_string(),
            Ok(Value::Null) | Err(ExecutionError::NoSuchKey(_)) => String::new(),
            Ok(other) => return Err(format!("`{of}` gives {} and no text", other.type_of())),
            Err(error) => return Err(format!("`{of}` cannot be evaluated: {}", short(&error.to_string()))),
        };
        Ok((!text.is_empty()).then_some(text))
    }
}

impl PartialEq for Formula {
    fn eq(&self, other: &Formula) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Formula {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

/// How a message becomes alerts.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// The list of alerts; without it the message is one.
    pub each: Option<Formula>,
    /// `firing`, `cleared`, `no_data`, or `aside` for what is not about an alert.
    pub state: Formula,
    /// The alert's name.
    pub name: Formula,
    /// What is the same from firing to clear.
    pub episode: Formula,
    /// When it began.
    pub started_at: Option<Formula>,
    /// When it ended.
    pub ended_at: Option<Formula>,
    /// Where a person can look.
    pub link: Option<Formula>,
    /// Labels by name.
    pub labels: BTreeMap<String, Formula>,
    /// Annotations by name.
    pub annotations: BTreeMap<String, Formula>,
}

/// What a mapping makes of one alert: the sender's texts, under our names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappedAlert {
    /// One of the words of [`Mapping::state`], as the sender's message gives it.
    pub state: String,
    /// Its name.
    pub name: String,
    /// What is the same from firing to clear.
    pub episode: String,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Where a person can look.
    pub link: Option<String>,
    /// Labels that are there.
    pub labels: BTreeMap<String, String>,
    /// Annotations that are there.
    pub annotations: BTreeMap<String, String>,
}

impl Mapping {
    /// The alerts of a message. Those whose state is `aside` have nothing else.
    ///
    /// # Errors
    /// Which formula gives nothing that it must give, and why.
    pub fn alerts(&self, body: Value) -> Result<Vec<MappedAlert>, String> {
        let items = match &self.each {
            None => vec![body.clone()],
            Some(each) => {
                let mut context = scene();
                context.add_variable_from_value("body", body.clone());
                context.add_variable_from_value("item", Value::Null);
                match each.program.execute(&context) {
                    Ok(Value::List(items)) => (*items).clone(),
                    Ok(other) => return Err(format!("`each` gives {} and no list", other.type_of())),
                    Err(error) => {
                        return Err(format!("`each` cannot be evaluated: {}", short(&error.to_string())));
                    }
                }
            }
        };
        if items.len() > ALERTS_MAX {
            return Err(format!("more than {ALERTS_MAX} alerts in one message"));
        }
        let numbered = (1..).zip(items);
        let mapped = numbered.map(|(number, item)| {
            self.alert(body.clone(), item).map_err(|why| match self.each {
                Some(_) => format!("alert {number}: {why}"),
                None => why,
            })
        });
        mapped.collect()
    }

    fn alert(&self, body: Value, item: Value) -> Result<MappedAlert, String> {
        let mut context = scene();
        context.add_variable_from_value("body", body);
        context.add_variable_from_value("item", item);
        let must = |formula: &Formula, of: &str| {
            formula.text(of, &context)?.ok_or_else(|| format!("`{of}` gives nothing"))
        };
        let may = |formula: &Option<Formula>, of: &str| match formula {
            Some(formula) => formula.text(of, &context),
            None => Ok(None),
        };
        let all = |formulas: &BTreeMap<String, Formula>, of: &str| {
            let mut found = BTreeMap::new();
            for (name, formula) in formulas {
                if let Some(text) = formula.text(&format!("{of}.{name}"), &context)? {
                    found.insert(name.clone(), text);
                }
            }
            Ok::<_, String>(found)
        };
        let state = must(&self.state, "state")?;
        if state == "aside" {
            return Ok(MappedAlert { state, ..MappedAlert::default() });
        }
        Ok(MappedAlert {
            state,
            name: must(&self.name, "name")?,
            episode: must(&self.episode, "episode")?,
            started_at: may(&self.started_at, "started_at")?,
            ended_at: may(&self.ended_at, "ended_at")?,
            link: may(&self.link, "link")?,
            labels: all(&self.labels, "labels")?,
            annotations: all(&self.annotations, "annotations")?,
        })
    }
}
