#!/bin/sh
# Runs rarec with its arguments. Of a variable NAME_FILE that names a file, the file's content becomes NAME, so that
# secrets need not stand in the environment that the container is described with.
set -eu

for name in OPENAI_API_KEY PGPASSWORD; do
    eval "file=\${${name}_FILE:-}"
    if [ -n "$file" ]; then
        if [ ! -r "$file" ]; then
            echo "rarec: ${name}_FILE names $file, which cannot be read; check the secret and its rights" >&2
            exit 2
        fi
        secret=$(cat "$file")
        if [ -n "$secret" ]; then
            export "$name=$secret"
        fi
        unset "${name}_FILE" secret
    fi
done

exec rarec "$@"
