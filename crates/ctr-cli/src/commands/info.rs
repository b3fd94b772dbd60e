//! `info`: the engine, its runtimes and the host.

use serde_json::Value;

use crate::commands::Context;
use crate::error::{CommandError, Outcome};
use crate::io::Io;
use crate::parse::format::{Format, format};
use crate::render::{json::pretty, outline::outline};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Form of the output: json
    #[arg(short, long)]
    format: Option<String>,
}

/// The lists in an object become one line each.
fn join_lists(object: &mut Value) {
    for value in object
        .as_object_mut()
        .into_iter()
        .flat_map(|map| map.values_mut())
    {
        if let Some(list) = value.as_array() {
            let words: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
            *value = Value::from(words.join(", "));
        }
    }
}

/// Prints what the engine says of itself.
pub(crate) fn run(args: &Args, context: &Context, io: &mut Io) -> Result<Outcome, CommandError> {
    let format = format(args.format.as_deref())?;
    let info = context.open()?.info()?;
    match format {
        Format::Json => io.block(&pretty(&info)?),
        Format::Text => {
            let mut info = info;
            // Pages of options that nobody reads; they are there in the other form.
            for runtime in &mut info.runtimes {
                runtime.features_document = None;
            }
            let mut value = serde_json::to_value(&info)
                .map_err(|error| CommandError::failed(format!("show the information: {error}")))?;
            for runtime in value["runtimes"].as_array_mut().into_iter().flatten() {
                join_lists(&mut runtime["features"]);
            }
            io.block(&outline(&value));
        }
    }
    Ok(Outcome::Done)
}
