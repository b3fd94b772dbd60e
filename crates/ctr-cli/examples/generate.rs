//! Writes the man pages and shell completions of `ctr` below a directory, laid out like `/usr/share`. `cargo xtask man` calls it.
//!
//! `cargo run -p ctr-cli --example generate -- DIR`

use std::error::Error;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use ctr_sys::{Sync, replace_file};

/// Stands at the foot of each page.
const SOURCE: &str = concat!("ctr ", env!("CARGO_PKG_VERSION"));

fn main() -> Result<(), Box<dyn Error>> {
    let directory = std::env::args_os().nth(1).ok_or("say where to")?;
    let directory = Path::new(&directory);
    completions(ctr_cli::command_tree(), directory)?;
    // A page for `help`, and one for each command that it can explain, would only repeat the others.
    let mut tree = ctr_cli::command_tree().disable_help_subcommand(true);
    tree.build();
    let mut names = Vec::new();
    pages(&tree, &directory.join("man/man1"), &mut names)?;
    names.sort();
    println!("{}", names.join("\n"));
    Ok(())
}

/// Writes the pages of a command and of all below it: `ctr-container-ls.1`.
fn pages(
    command: &Command,
    directory: &Path,
    names: &mut Vec<String>,
) -> Result<(), Box<dyn Error>> {
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        pages(below, directory, names)?;
    }
    let name = command.get_display_name().unwrap_or(command.get_name());
    let page = clap_mangen::Man::new(command.clone())
        // No date, so that the same sources make the same page; quite empty, it would give its place to what follows.
        .date(" ")
        .source(SOURCE)
        .manual("User Commands");
    let file = page.get_filename();
    let mut text = Vec::new();
    page.render(&mut text)?;
    save(&directory.join(file), &text)?;
    names.push(name.to_owned());
    Ok(())
}

/// Writes what each shell looks for, where it looks for it.
fn completions(mut tree: Command, directory: &Path) -> Result<(), Box<dyn Error>> {
    for (shell, path) in [
        (Shell::Bash, "bash-completion/completions/ctr"),
        (Shell::Zsh, "zsh/site-functions/_ctr"),
        (Shell::Fish, "fish/vendor_completions.d/ctr.fish"),
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut tree, "ctr", &mut text);
        save(&directory.join(path), &text)?;
    }
    Ok(())
}

fn save(path: &Path, text: &[u8]) -> Result<(), Box<dyn Error>> {
    let parent = path.parent().ok_or("a file lies in a directory")?;
    std::fs::create_dir_all(parent)?;
    Ok(replace_file(path, text, 0o644, Sync::No)?)
}
