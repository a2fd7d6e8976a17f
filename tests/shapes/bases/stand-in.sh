# What the stand-ins have in common. Each is a script that makes something of the files it
# is given, so that what a build made can be told, and fails where one is missing.
set -eu

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

need() {
    for path; do
        [ -e "$path" ] || fail "$path is missing"
    done
}

# Print the texts of the print statements in some programs, whatever their language.
texts_of() {
    need "$@"
    sed -nE 's/.*(Println|println!?|console\.log|print|puts|echo|WriteLine)[ (]+"([^"]*)".*/\2/p' "$@"
}

# Make a program that prints the lines of the standard input.
program() {
    echo '#!/bin/sh'
    sed 's/.*/echo "&"/'
}

# Install the packages of the standard input, "NAME VERSION" each, into a directory.
unpack_into() {
    while read -r name version; do
        mkdir -p "$1/$name"
        echo "$version" > "$1/$name/version"
    done
}

# Read names and versions from a lock file of the kind that Cargo, poetry and uv write.
locked_toml() {
    need "$1"
    sed -nE '/^name = "/{s/.*"(.*)"/\1/;h}; /^version = "/{s/.*"(.*)"/\1/;H;x;s/\n/ /p}' "$1"
}

# Print what is behind a flag: `flag -o "$@"`; nothing if it is not there.
flag() {
    wanted=$1
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        "$wanted") echo "$2"; return ;;
        "$wanted"=*) echo "${1#*=}"; return ;;
        esac
        shift
    done
}

has() {
    wanted=$1
    shift
    for word; do
        [ "$word" != "$wanted" ] || return 0
    done
    return 1
}
