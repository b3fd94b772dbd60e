//! Which programs are accepted as a runtime.

use std::path::{Path, PathBuf};

use ctr_oci::{OciError, RUNTIME_DIRECTORIES, find_runtime};
use ctr_sys::{Sync, replace_file};
use tempfile::TempDir;

fn program(directory: &Path, name: &str, mode: u32) -> PathBuf {
    let path = directory.join(name);
    replace_file(&path, b"", mode, Sync::No).expect("a file");
    path
}

fn two_directories() -> (TempDir, [PathBuf; 2]) {
    let temp = TempDir::new().expect("temp dir");
    let directories = ["first", "second"].map(|name| temp.path().join(name));
    for directory in &directories {
        std::fs::create_dir(directory).expect("a directory");
    }
    (temp, directories)
}

#[test]
fn the_first_directory_wins() {
    let (_temp, [first, second]) = two_directories();
    let search = [first.clone(), second.clone()];
    let in_second = program(&second, "rt", 0o755);
    assert_eq!(find_runtime("rt", &search).unwrap(), in_second);
    let in_first = program(&first, "rt", 0o755);
    assert_eq!(find_runtime("rt", &search).unwrap(), in_first);
    assert_eq!(
        find_runtime(in_second.to_str().unwrap(), &search).unwrap(),
        in_second
    );
}

#[test]
fn a_bad_file_is_refused_and_not_passed_over() {
    let check = |mode: u32, why: &str| {
        let (_temp, [first, second]) = two_directories();
        let bad = program(&first, "rt", mode);
        program(&second, "rt", 0o755);
        for name in ["rt", bad.to_str().unwrap()] {
            let error = find_runtime(name, &[first.clone(), second.clone()]).unwrap_err();
            let expected = format!("refuse to execute OCI runtime {}: {why}", bad.display());
            assert_eq!(error.to_string(), expected);
        }
    };
    check(0o644, "it is not executable");
    check(0o757, "everybody may write to it");
}

#[test]
fn files_of_other_users_are_refused() {
    let (_temp, [first, _]) = two_directories();
    let path = program(&first, "rt", 0o755);
    if let Err(error) = std::os::unix::fs::chown(&path, Some(12345), None) {
        println!("skipped: the owner of a file cannot be changed here: {error}");
        return;
    }
    let error = find_runtime("rt", std::slice::from_ref(&first)).unwrap_err();
    assert!(
        error.to_string().ends_with("it belongs to another user"),
        "{error}"
    );
    std::os::unix::fs::chown(&path, Some(0), Some(12345)).unwrap();
    find_runtime("rt", std::slice::from_ref(&first)).unwrap();
    program(&first, "group", 0o775);
    std::os::unix::fs::chown(first.join("group"), None, Some(12345)).unwrap();
    let error = find_runtime("group", std::slice::from_ref(&first)).unwrap_err();
    assert!(
        error.to_string().ends_with("another group may write to it"),
        "{error}"
    );
}

#[test]
fn directories_of_everybody_are_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (_temp, [first, second]) = two_directories();
    let good = program(&first, "rt", 0o755);
    let link = second.join("rt");
    std::os::unix::fs::symlink(&good, &link).unwrap();
    let open_to = |directory: &Path, mode| {
        std::fs::set_permissions(directory, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let check = |path: &Path, directory: &Path| {
        let error = find_runtime(path.to_str().unwrap(), &[]).unwrap_err();
        let expected = format!(
            "refuse to execute OCI runtime {}: others may change the directory {}",
            path.display(),
            directory.display()
        );
        assert_eq!(error.to_string(), expected);
    };
    open_to(&second, 0o777);
    check(&link, &second);
    find_runtime(good.to_str().unwrap(), &[]).unwrap();
    // Where everybody may only remove what is their own, nobody can exchange it.
    open_to(&second, 0o1777);
    find_runtime(link.to_str().unwrap(), &[]).unwrap();
    open_to(&first, 0o777);
    check(&good, &first);
    check(&link, &first);
    open_to(&first, 0o755);
    if std::os::unix::fs::chown(&first, Some(12345), None).is_ok() {
        check(&good, &first);
    }
}

#[test]
fn directories_are_no_programs() {
    let (_temp, [first, _]) = two_directories();
    std::fs::create_dir(first.join("rt")).unwrap();
    let error = find_runtime("rt", &[first]).unwrap_err();
    assert!(
        error.to_string().ends_with("it is not a regular file"),
        "{error}"
    );
}

#[test]
fn a_missing_runtime_says_where_it_was_looked_for() {
    let (_temp, [first, second]) = two_directories();
    let error = find_runtime("rt", &[first.clone(), second.clone()]).unwrap_err();
    let expected = format!(
        r#"OCI runtime "rt" is not installed (looked in {}, {})"#,
        first.display(),
        second.display()
    );
    assert_eq!(error.to_string(), expected);
    let error = find_runtime("no-such-runtime-anywhere", &[]).unwrap_err();
    let OciError::RuntimeNotFound { searched, .. } = error else {
        panic!("{error}");
    };
    assert_eq!(searched, RUNTIME_DIRECTORIES.map(PathBuf::from));
    let missing = first.join("x/rt");
    let error = find_runtime(missing.to_str().unwrap(), &[]).unwrap_err();
    assert!(matches!(error, OciError::RuntimeNotFound { .. }));
}

#[test]
fn names_are_names() {
    let (_temp, [first, _]) = two_directories();
    let long = "a".repeat(4096);
    for name in [
        "", "../x", "a/b", "a\0b", ".hidden", "-x", "Runc", "a b", "$(x)", ";x", "ü", &long,
    ] {
        let error = find_runtime(name, std::slice::from_ref(&first)).unwrap_err();
        assert!(
            matches!(error, OciError::Invalid { .. }),
            "{name:?}: {error}"
        );
    }
    program(&first, "a.b_c-1", 0o755);
    find_runtime("a.b_c-1", std::slice::from_ref(&first)).unwrap();
}
