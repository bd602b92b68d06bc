#!/usr/bin/env bash
# What this crate adds to a program that has aws-config and aws-sdk-sts already: crates, CPU time of a
# release build, size. In a temporary folder; a first build of everything, then of what is new.
set -euo pipefail
crate=$(cd "$(dirname "$0")/.." && pwd)
app=$(mktemp -d)
trap 'rm -rf "$app"' EXIT
cd "$app"
mkdir src
cp "$crate/Cargo.lock" .
export CARGO_TARGET_DIR=$app/target

manifest() {
  cat >Cargo.toml <<TOML
[package]
name = "app"
version = "0.0.0"
edition = "2024"

[dependencies]
aws-config = { version = "1", features = ["behavior-version-latest"] }
aws-sdk-sts = "1"
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }
$1
TOML
}

main() {
  cat >src/main.rs <<RUST
#[tokio::main]
async fn main() {
    let base = aws_config::load_from_env().await;
    $1
    let caller = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await;
    println!("{caller:?}");
}
RUST
}

# Crates, bytes, bytes stripped, and the build's CPU seconds.
measure() {
  local crates seconds
  cargo fetch --quiet
  TIMEFORMAT='%U %S'
  seconds=$({ time cargo build --release --offline --quiet 2>build.log || { cat build.log >&2; exit 1; }; } 2>&1 |
    awk '{print $1 + $2}')
  crates=$(cargo tree --offline --edges normal --prefix none --no-dedupe | sort -u | wc -l)
  cp target/release/app stripped
  strip stripped
  echo "$crates $(stat -c %s target/release/app) $(stat -c %s stripped) $seconds"
}

manifest ""
main 'let config = base;'
measure >without
read -r crates bytes stripped seconds <without
manifest "aws-role-chain = { path = \"$crate\" }"
main 'let role = aws_role_chain::Role::new("arn:aws:iam::222222222222:role/Writer");
    let config = aws_role_chain::RoleChain::new(&base, role).expect("a role").sdk_config();'
measure >with
read -r more_crates more_bytes more_stripped more_seconds <with

share() { awk -v all="$1" -v more="$2" 'BEGIN { printf "%.1f %%", 100 * more / all }'; }
echo "| | without | added | |"
echo "|---|---|---|---|"
echo "| crates, the program's own too | $crates | $((more_crates - crates)) | |"
echo "| CPU seconds of a release build | $seconds | $more_seconds | $(share "$seconds" "$more_seconds") |"
echo "| bytes | $bytes | $((more_bytes - bytes)) | $(share "$bytes" $((more_bytes - bytes))) |"
echo "| bytes, stripped | $stripped | $((more_stripped - stripped)) | $(share "$stripped" $((more_stripped - stripped))) |"
