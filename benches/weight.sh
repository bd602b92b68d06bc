#!/usr/bin/env bash
# Measures what this crate adds to a program that has aws-config and aws-sdk-sts: crates, the time of a clean release
# build, and the size of the binary. Builds three times without it and three times with it, in a temporary folder.
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

without() {
  manifest ""
  main 'let config = base;'
}

with() {
  manifest "aws-role-chain = { path = \"$crate\" }"
  main 'let role = aws_role_chain::Role::new("arn:aws:iam::222222222222:role/Writer");
    let config = aws_role_chain::RoleChain::new(&base, role).expect("a role").sdk_config();'
}

# Prints the seconds and the CPU seconds of a clean build.
build() {
  cargo fetch --quiet
  rm -rf target
  TIMEFORMAT='%R %U %S'
  { time cargo build --release --offline --quiet 2>build.log || { cat build.log >&2; exit 1; }; } 2>&1 |
    awk '{print $1, $2 + $3}'
}

# Prints the number of crates and the size of the binary in bytes, as built and stripped.
measure() {
  local crates
  crates=$(cargo tree --offline --edges normal --prefix none --no-dedupe | sort -u | wc -l)
  cp target/release/app stripped
  strip stripped
  echo "$crates $(stat -c %s target/release/app) $(stat -c %s stripped)"
}

for _ in 1 2 3; do
  for which in without with; do
    $which
    build >>"$which.seconds"
    measure >"$which.size"
  done
done

median() { cut -d' ' -f"$2" "$1.seconds" | sort -n | sed -n 2p; }
read -r crates bytes stripped <without.size
read -r more_crates more_bytes more_stripped <with.size
more() { awk -v some="$1" -v more="$2" 'BEGIN { printf "%s | %.4g | %.1f %%", some, more - some, 100 * (more / some - 1) }'; }
echo "| | without | added | |"
echo "|---|---|---|---|"
echo "| crates, including the program | $crates | $((more_crates - crates)) | |"
echo "| clean release build, seconds | $(more "$(median without 1)" "$(median with 1)") |"
echo "| clean release build, CPU seconds | $(more "$(median without 2)" "$(median with 2)") |"
echo "| binary, KiB | $(more $((bytes / 1024)) $((more_bytes / 1024))) |"
echo "| stripped binary, KiB | $(more $((stripped / 1024)) $((more_stripped / 1024))) |"
echo
echo "Each build in seconds and CPU seconds: without $(paste -sd, without.seconds); with $(paste -sd, with.seconds)"
