//! Python: a package of the schemas themselves, which pycapnp compiles when they are loaded.

use super::schemas::write;
use super::{Job, Outcome, check_name, identifier};

/// What Python has for itself.
const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];

pub(super) fn generate(job: &Job<'_>) -> anyhow::Result<Outcome> {
    let package = &job.options.python_package;
    check_name("python-package", package, ".")?;
    let folder = job.work.join(package.replace('.', "/"));
    job.schemas.write(&folder)?;
    // pycapnp ends the process at a `-> stream` whose schema is in no folder that it is told of.
    job.schemas.write_standard(&folder, |_| String::new())?;

    let modules = job.schemas.named(module)?;
    let mut text = format!(
        "\"\"\"Made by `shipmate generate` from {}. Do not edit it.\"\"\"\n\n\
         from pathlib import Path as _Path\n\n\
         import capnp as _capnp\n\n\
         _folder = _Path(__file__).parent\n\
         _imports = [str(_folder), str(_Path(_capnp.__file__).parent.parent)]\n\
         # One for all of them, so that a type is the same however many schemas import it.\n\
         _parser = _capnp.SchemaParser()\n\n",
        job.schemas.list()
    );
    for (name, schema) in &modules {
        text += &format!("{name} = _parser.load(str(_folder / \"{}\"), imports=_imports)\n", schema.file());
    }
    let all: Vec<_> = modules.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    text += &format!("\n__all__ = [{}]\n", all.join(", "));
    write(&folder.join("__init__.py"), text)?;
    let first = modules.first().map(|(name, _)| name.as_str()).unwrap_or_default();
    Ok(Outcome::Whole(format!("from {package} import {first}, with {} in PYTHONPATH", job.place.display())))
}

fn module(name: &str) -> String {
    let name = identifier(name);
    if KEYWORDS.contains(&name.as_str()) { name + "_" } else { name }
}
