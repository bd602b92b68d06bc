#!/usr/bin/env bash
# Breaks a copy of the cache in one way after another, and searches the interleavings of each mutation: each must be
# found. Needs cargo and perl. Arguments select mutations by name. The logs, with the failing schedules, are in
# target/mutations.
set -euo pipefail
cd "$(dirname "$0")/.."
export INTERLEAVINGS="${INTERLEAVINGS:-1000}"
# Compiling takes longer than the tests.
export CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0 RUSTFLAGS='-A warnings'
target=$PWD/target/mutations
copy=$target/copy

# name | perl expression, applied to each file of src/cache as one string
mutations() {
  cat <<'END'
wake-up dropped           | s/sender\.send_replace\(Some\(outcome\)\);/{ let _ = outcome; std::mem::forget(sender); }/
result lost               | s/sender\.send_replace\(Some\(outcome\)\);/let _ = (outcome, sender);/
result told before stored | s/let outcome = inner\.complete\(id, started_at, loaded\.unwrap_or_else\(panicked\)\);\s*sender\.send_replace\(Some\(outcome\)\);/let loaded = loaded.unwrap_or_else(panicked); sender.send_replace(Some(loaded.as_ref().map(|loaded| loaded.as_ref().map(|_| ()).map_err(Clone::clone)))); inner.complete(id, started_at, loaded);/
double load               | s/if let Some\(load\) = in_flight \{/if let Some(load) = in_flight.filter(|_| false) {/
state read before the lock| s/(\/\/ No user code runs)/let state = self.state.load_full();\n        $1/; s/state: self\.state\.load_full\(\),/state,/; s/State::clone\(&self\.state\.load\(\)\)/State::clone(&state)/
late start not seen       | s/is_none_or\(\|load\| load\.id != id\)/is_some_and(|load| load.id != id \&\& false)/
late result stored        | s/if id < state\.latest_success \{/if false {/
late result ends newer    | s/((?:self\.write\(\);|\|state\| \{)\s*state\.in_flight)\.take_if\(\|load\| load\.id == id\)/$1.take()/
invalidation lost         | s/entry\.cached\.is_invalidated = true;/entry.cached.is_invalidated = false;/
replacement invalidated   | s/entry\.session\.access_key_id\(\) == access_key_id/!entry.session.access_key_id().is_empty()/
invalidation outlives load| s/(loaded_at: now,\s*is_invalidated:) false/$1 state.entry.as_ref().is_some_and(|entry| entry.cached.is_invalidated)/
abandoned load kept       | s/silent_for >= ABANDONED_LOAD_TIMEOUT/let _ = silent_for; false/
abandoned load joined     | s/ && !load\.is_abandoned\(now\)/ \&\& { let _ = now; true }/
polled load abandoned     | s/std::mem::replace\(&mut \*alive_at, now\)/*alive_at/; s/let mut alive_at = lock/let alive_at = lock/
dropped load kept         | s/load\.result\.has_changed\(\)\.is_ok\(\) && //
runtime's end unseen      | s/if load\.result\.has_changed\(\)\.is_err\(\) && /if false \&\& /
end taken for runtime's   | s/if load\.result\.has_changed\(\)\.is_err\(\) && load\.result\.borrow\(\)\.is_none\(\)/if load.result.has_changed().is_err()/
caller waits for ever     | s/max_wait = wait\b/max_wait = wait.and(None)/
failure after suspension  | s/Ok\(Err\(_\)\) if was_frozen/Ok(Err(_)) if was_frozen \&\& false/
person's answer refused   | s/if error\.is_interaction_required\(\) && requester\.waits\(\) => None/if error.is_interaction_required() \&\& requester.waits() \&\& false => None/
panic not caught          | s/catch_unwind\(inner\.load\(id, reason, &alive_at\)\)\.await/Ok::<_, Panicked>(inner.load(id, reason, \&alive_at).await)/
timer outlives cache      | s/self\.0\.abort\(\);//
timer holds cache         | s/drop\(inner\);\s*sleep\.sleep\((wait\.min\(LONGEST_TIMER_SLEEP\))\)\.await;/sleep.sleep($1).await; drop(inner);/
dead timer kept           | s/\.is_some_and\(\|timer\| !timer\.0\.is_finished\(\)\)/.is_some()/
failure not remembered    | s/left\.filter\(\|left\| !left\.is_zero\(\)\)/left.filter(|_| false)/
older session is new enough| s/entry\.session\.time_left\(now\) < min/false/; s/self\.session\.time_left\(now\) >= min/true/
age of the load ignored   | s/known\.now\.since\(started_at\)/{ let _ = started_at; Duration::ZERO }/
END
}

rm -rf "$copy"
mkdir -p "$copy"
# A separate workspace, with the profiles of this one.
cp -r interleavings Cargo.lock "$copy"
{
  echo '[workspace]'
  sed -n '/^\[profile\./,$p' Cargo.toml | sed '/^\[profile.dev.package.interleavings\]/,/^$/d'
} >>"$copy/interleavings/Cargo.toml"
mv "$copy/Cargo.lock" "$copy/interleavings"

cargo_test() {
  CARGO_TARGET_DIR=$target timeout 600 cargo test --quiet \
    --manifest-path "$copy/interleavings/Cargo.toml" "$@"
}

fresh_sources() {
  rm -rf "$copy/src"
  mkdir "$copy/src"
  cp -r src/cache src/error.rs src/session.rs src/timestamp.rs "$copy/src"
}

fresh_sources
cargo_test >"$target/unchanged.log" 2>&1 || {
  tail -n 30 "$target/unchanged.log"
  echo 'the cache fails unchanged'
  exit 1
}

missed=0
while IFS='|' read -r name patch; do
  name=$(sed 's/ *$//' <<<"$name")
  if (($#)) && [[ " $* " != *" $name "* ]]; then continue; fi
  fresh_sources
  perl -0pi -e "$patch" "$copy"/src/cache/*.rs
  if diff -rq src/cache "$copy/src/cache" >/dev/null; then
    echo "$name: changes nothing; the cache has changed since"
    exit 1
  fi
  log=$target/$(tr -c 'a-z\n' - <<<"$name").log
  if ! cargo_test --no-run >"$log" 2>&1; then
    tail -n 30 "$log"
    echo "$name: does not compile"
    exit 1
  fi
  if cargo_test >"$log" 2>&1; then
    echo "$name: NOT FOUND"
    missed=$((missed + 1))
  else
    found_by=$(sed -nE 's/^    ([a-z_]+)$/\1/p' "$log" | sort -u)
    if [[ -z $found_by ]]; then
      tail -n 30 "$log"
      echo "$name: the search was cut short"
      exit 1
    fi
    printf '%-25s found by %2d scenarios, such as %s\n' "$name" \
      "$(wc -l <<<"$found_by")" "$(head -n 1 <<<"$found_by")"
  fi
done < <(mutations)
((missed == 0))
