# Makes and keeps the virtual environment that every script here runs in. Sourced, never run.
#
# What it offers: say, fail, set_up EXTRA..., every_extra, krb5_headers, java_runtime, and $VENV_PYTHON once set_up is done.
# What it honours: $PYTHON names the interpreter to make .venv with; pip's own configuration is used as it is.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"
VENV_PYTHON="$VENV/bin/python"
STAMP="$VENV/greywater-installed"
LOCK="$ROOT/requirements.lock"
OLDEST="3.11"
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1

say() { printf '\n== %s\n' "$*" >&2; }

fail() {
    printf '\nerror: %s\n' "$*" >&2
    exit 1
}

# is_new_enough PYTHON: true where it starts and is at least $OLDEST.
is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info[:2] < tuple(map(int, sys.argv[1].split("."))))' "$OLDEST" 2>/dev/null
}

version_of() { "$1" -c 'import platform; print("Python", platform.python_version())' 2>/dev/null || echo "nothing that starts"; }

# find_python: prints the interpreter to make .venv with.
find_python() {
    local candidate
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" ||
            fail "PYTHON=$PYTHON is $(version_of "$PYTHON"); Greywater needs Python $OLDEST or newer. Set PYTHON to one, or leave it unset."
        echo "$PYTHON"
        return
    fi
    for candidate in python3.11 python3.12 python3 python3.13 python; do
        if command -v "$candidate" >/dev/null 2>&1 && is_new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python $OLDEST or newer found (python3 is $(version_of python3)). Install one, for example" \
        "'apt-get install python3 python3-venv', or name one: PYTHON=/path/to/python3.12 $0"
}

make_venv() {
    local python
    if [ -x "$VENV_PYTHON" ] && is_new_enough "$VENV_PYTHON" && "$VENV_PYTHON" -m pip --version >/dev/null 2>&1; then
        if [ -z "${PYTHON:-}" ] || [ "$(version_of "$PYTHON")" = "$(version_of "$VENV_PYTHON")" ]; then
            return
        fi
    fi
    python="$(find_python)" || exit 1
    say "making .venv with $(version_of "$python")"
    "$python" -m venv --clear "$VENV" || fail "'$python -m venv' failed. On Debian and Ubuntu: apt-get install python3-venv"
}

# environment_key: what the installed set depends on; a change of any of it installs again.
environment_key() {
    "$VENV_PYTHON" - "$LOCK" "$ROOT/pyproject.toml" "$ROOT" <<'PY'
import hashlib, pathlib, platform, sys, tomllib

lock, project, root = map(pathlib.Path, sys.argv[1:])
table = tomllib.loads(project.read_text())["project"]
wanted = [table["dependencies"], sorted(table["optional-dependencies"].items()), sorted(table["scripts"].items())]
digest = hashlib.sha256(lock.read_bytes() + repr(wanted).encode() + str(root).encode())
print(digest.hexdigest()[:16], platform.python_version())
PY
}

# every_extra: the names of all extras in pyproject.toml but "all" and "dev".
every_extra() {
    "$VENV_PYTHON" - "$ROOT/pyproject.toml" <<'PY'
import pathlib, sys, tomllib

extras = tomllib.loads(pathlib.Path(sys.argv[1]).read_text())["project"]["optional-dependencies"]
print(*[name for name in extras if name not in ("all", "dev")])
PY
}

# krb5_headers: true where the kerberos extra can be built; as root on Debian it installs the headers first.
krb5_headers() {
    command -v krb5-config >/dev/null 2>&1 && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing Debian's libkrb5-dev, which the kerberos extra is built with"
        export DEBIAN_FRONTEND=noninteractive
        { apt-get -q -o DPkg::Lock::Timeout=300 update &&
            apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends libkrb5-dev; } >&2 </dev/null || true
        hash -r
    fi
    command -v krb5-config >/dev/null 2>&1
}

# java_runtime: true where there is a Java for Spark; as root on Debian it installs one first (17, else what there is).
java_runtime() {
    local package
    { [ -n "${JAVA_HOME:-}" ] || command -v java >/dev/null 2>&1; } && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "installing Debian's Java, which Spark runs on"
        export DEBIAN_FRONTEND=noninteractive
        apt-get -q -o DPkg::Lock::Timeout=300 update >&2 </dev/null || true
        for package in openjdk-17-jre-headless openjdk-21-jre-headless default-jre-headless; do
            apt-get -q -y -o DPkg::Lock::Timeout=300 install --no-install-recommends "$package" >&2 </dev/null && break
        done
        hash -r
    fi
    command -v java >/dev/null 2>&1
}

pip_install() {
    "$VENV_PYTHON" -m pip install -qq --constraint "$LOCK" "$@" </dev/null
}

# set_up EXTRA...: .venv holds the locked core and these extras afterwards. Does nothing where it already does.
set_up() {
    local key wanted installed="" missing=()
    make_venv
    key="$(environment_key)" || fail "could not read $LOCK and pyproject.toml"
    if [ -f "$STAMP" ] && [ "$(head -n 1 "$STAMP")" = "$key" ]; then
        installed=" $(tail -n 1 "$STAMP") "
    fi
    for wanted in core "$@"; do
        case "$installed" in *" $wanted "*) ;; *) missing+=("$wanted") ;; esac
    done
    [ "${#missing[@]}" -eq 0 ] && return
    local began=$SECONDS names
    names="$(IFS=,; echo "${missing[*]}")"
    case " ${missing[*]} " in *" deep "*)
        say "installing torch (the version in requirements.lock)"
        pip_install "$(grep -i '^torch==' "$LOCK")" || fail "torch could not be installed; pip says why above"
        ;;
    esac
    say "installing the locked set into .venv: $names (the first time takes minutes)"
    names="${names#core}"
    names="${names#,}"
    pip_install --editable "$ROOT${names:+[$names]}" || fail "pip could not install the locked set; it says why above"
    printf '%s\n%s\n' "$key" "$(echo "$installed ${missing[*]}" | tr -s ' ' | sed 's/^ //')" >"$STAMP"
    say "installed in $((SECONDS - began)) s"
}
