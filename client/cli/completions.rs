//! `shipmate completions`.

use anyhow::Result;
use clap::CommandFactory;

/// Print the completions of a shell.
#[derive(clap::Args)]
#[command(after_help = "Example: shipmate completions bash > ~/.local/share/bash-completion/completions/shipmate")]
pub(crate) struct Completions {
    shell: clap_complete::Shell,
}

impl Completions {
    pub(crate) fn run(self) -> Result<()> {
        // Into memory first: the generator panics when it cannot write.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut crate::Cli::command(), "shipmate", &mut script);
        Ok(std::io::Write::write_all(&mut std::io::stdout(), &script)?)
    }
}
