"""The script for bash: two tables, and a function that finds the place at which the cursor stands.

It needs nothing but bash 4: no package of completions, and no program.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from recurra.cli.completion.verbs import Value, Verb

_SCRIPT = r"""# Completion of recurra for bash. Load it with: source <(recurra completion bash)

_recurra_flags() {
  case $1 in
@FLAGS@
  esac
}

_recurra_value() {
  case $1 in
@VALUES@
    *) return 1 ;;
  esac
}

_recurra_runs() {
  local path
  local -a found=("$cur"*/run.json)
  [[ runs/ == "$cur"* ]] && found+=(runs/*/run.json)
  for path in "${found[@]}"; do [[ -f $path ]] && COMPREPLY+=("${path%/run.json}"); done
  (( ${#COMPREPLY[@]} )) || compopt -o dirnames
}

_recurra_offer() {
  case $1 in
    :run) compopt -o filenames; _recurra_runs ;;
    :file) compopt -o default ;;
    :folder) compopt -o dirnames ;;
    :text) ;;
    *)
      COMPREPLY=($(compgen -W "$*" -- "$cur"))
      [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace ;;
  esac
}

_recurra() {
  local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]}
  local first=2 place=0 offer at
  COMPREPLY=()
  if (( COMP_CWORD == 1 )); then _recurra_offer @WORDS@; return; fi
  case $verb in
@GROUPS@
  esac
  # bash cuts --option=value at the sign.
  if [[ $cur == = ]]; then cur=; elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi
  if [[ $before == -* ]] && _recurra_value "$verb $before"; then _recurra_offer $offer; return; fi
  if [[ $cur == -* ]]; then _recurra_offer $(_recurra_flags "$verb"); return; fi
  for (( at = first; at < COMP_CWORD; at++ )); do
    case ${COMP_WORDS[at]} in
      =) (( at++ )) ;;
      -?*) [[ ${COMP_WORDS[at + 1]} != = ]] && _recurra_value "$verb ${COMP_WORDS[at]}" && (( at++ )) ;;
      *) (( place++ )) ;;
    esac
  done
  if _recurra_value "$verb $place" || _recurra_value "$verb +"; then _recurra_offer $offer; fi
}

complete -F _recurra recurra
"""


def script(verbs: Sequence[Verb]) -> str:
    """The completion of all commands, as a script for bash."""
    tables = {
        "FLAGS": "\n".join(f"    {shlex.quote(one.word)}) echo {' '.join(_flags(one))} ;;" for one in verbs),
        "VALUES": "\n".join(line for one in verbs for line in _values(one)),
        "WORDS": " ".join(dict.fromkeys(one.word.split()[0] for one in verbs)),
        "GROUPS": "\n".join(_groups(verbs)),
    }
    text = _SCRIPT
    for name, table in tables.items():
        text = text.replace(f"@{name}@", table)
    return text


def _flags(verb: Verb) -> Iterable[str]:
    return (name for flag in verb.flags for name in flag.names)


def _values(verb: Verb) -> Iterable[str]:
    """A line for each option that takes something, and for each place; `+` is every place behind the last."""
    for flag in verb.flags:
        if flag.value is not None:
            yield _case([f"{verb.word} {name}" for name in flag.names], flag.value)
    for number, place in enumerate(verb.places):
        keys = [f"{verb.word} {number}", *([f"{verb.word} +"] if place.several else [])]
        yield _case(keys, place.value)


def _case(keys: Iterable[str], value: Value) -> str:
    offer = " ".join(value.words) if value.words else f":{value.kind}"
    return f"    {'|'.join(map(shlex.quote, keys))}) offer={shlex.quote(offer)} ;;"


def _groups(verbs: Sequence[Verb]) -> Iterable[str]:
    """Commands of two words: the second one is asked for first."""
    for group in dict.fromkeys(one.word.split()[0] for one in verbs if " " in one.word):
        words = " ".join(one.word.split()[1] for one in verbs if one.word.startswith(f"{group} "))
        yield f"    {group})"
        yield f"      if (( COMP_CWORD == 2 )); then _recurra_offer {words}; return; fi"
        yield '      verb+=" ${COMP_WORDS[2]}" first=3 ;;'
