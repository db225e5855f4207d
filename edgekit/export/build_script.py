"""``build.sh``: the bundle's engines by trtexec alone, for a device without edgekit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgekit.bundle.manifest import Profile
from edgekit.export.lanes import ArtifactRow

SCRIPT, TABLE = "build.sh", "ranges.txt"

_HEAD = """\
#!/bin/sh
# Builds this bundle's TensorRT engines with trtexec and nothing else; `edgekit build` does the same and checks more.
# usage: sh build.sh [LANE/PRECISION ...]     (default: every one that the installed TensorRT can build)
#   TRTEXEC=path        default: trtexec of the PATH, else /usr/src/tensorrt/bin/trtexec
#   WORKSPACE_MIB=1024  most memory for tactics: boards of 4 to 8 GB run out without a limit
#   DLA=0               build the cache lane for that DLA core, what it cannot run on the GPU
# Engines and timing cache go to ./engines. An engine is only for the TensorRT version and the GPU that built it.
set -eu
unset CDPATH  # where it is set, cd goes elsewhere
cd -- "$(dirname -- "$0")"

TRTEXEC=${TRTEXEC:-$(command -v trtexec || echo /usr/src/tensorrt/bin/trtexec)}
WORKSPACE_MIB=${WORKSPACE_MIB:-1024}
DLA=${DLA:-}
if [ ! -x "$TRTEXEC" ]; then
  echo "build.sh: no trtexec at $TRTEXEC; name it with TRTEXEC=" >&2
  exit 2
fi
HELP=$("$TRTEXEC" --help 2>&1) || true

# "TensorRT v8502" is 8.5.2, "TensorRT v100300" is 10.3.0
VERSION=$(printf '%s\\n' "$HELP" | sed -n 's/.*TensorRT v\\([0-9][0-9]*\\).*/\\1/p' | sed -n 1p)
if [ -z "$VERSION" ]; then
  echo "build.sh: $TRTEXEC does not say which TensorRT it is" >&2
  exit 2
fi
if [ "$VERSION" -ge 100000 ]; then
  MAJOR=$((VERSION / 10000)) MINOR=$((VERSION / 100 % 100))
else
  MAJOR=$((VERSION / 1000)) MINOR=$((VERSION / 100 % 10))
fi
NUMBER=$((MAJOR * 100 + MINOR))

knows() {
  printf '%s\\n' "$HELP" | grep -q -e "$1"
}

# Building without a benchmark was called --buildOnly up to 8.5; where every network is strongly typed, no flag says so.
if knows --skipInference; then ONLY=--skipInference; else ONLY=--buildOnly; fi
if knows --stronglyTyped; then STRONG=--stronglyTyped; else STRONG=; fi

# build LANE/PRECISION OLDEST NEWEST FILE [OPTION ...]
build() {
  name=$1 oldest=$2 newest=$3 file=$4
  shift 4
  case " $WANTED " in
    *" all "* | *" $name "*) ;;
    *) return 0 ;;
  esac
  if [ "$NUMBER" -lt "$oldest" ] || [ "$NUMBER" -gt "$newest" ]; then
    echo "build.sh: $name is not for TensorRT $MAJOR.$MINOR" >&2
    case " $WANTED " in *" all "*) return 0 ;; *) exit 1 ;; esac
  fi
  engine=engines/$(printf '%s' "$name" | tr / -)-$VERSION.engine
  echo "build.sh: $name -> $engine"
  "$TRTEXEC" --onnx="$file" --saveEngine="$engine.part" --memPoolSize=workspace:"$WORKSPACE_MIB" \\
    --timingCacheFile=engines/timing-"$VERSION".cache "$ONLY" "$@"
  mv "$engine.part" "$engine"
  BUILT=$((BUILT + 1))
}

HAS="{names}"
WANTED=${*:-all}
for name in $WANTED; do
  case " all $HAS " in
    *" $name "*) ;;
    *)
      echo "build.sh: there is no $name; this bundle has: $HAS" >&2
      exit 2
      ;;
  esac
done
BUILT=0
mkdir -p engines
"""

_CACHE = """
# TensorRT takes a calibration cache only with its own version in the first line.
CACHE=engines/calibration-$VERSION.cache
{ echo "TRT-$VERSION-EntropyCalibration2"; cat ranges.txt; } > "$CACHE.part"
mv "$CACHE.part" "$CACHE"
"""

_TAIL = """
if [ "$BUILT" -eq 0 ]; then
  echo "build.sh: nothing in this bundle is for TensorRT $MAJOR.$MINOR; it has: $HAS" >&2
  exit 1
fi
"""


def build_script(rows: Sequence[ArtifactRow], profiles: Mapping[str, str] | None = None) -> str:
    """The script for the rows that TensorRT builds. ValueError if TensorRT builds no row.

    ``profiles``: key of a row → trtexec's options for the dimensions that its file leaves open.
    """
    built = [row for row in rows if row.tensorrt]
    if not built:
        raise ValueError("no row is for TensorRT")
    head = _HEAD.replace("{names}", " ".join(row.key for row in built))
    if any("$CACHE" in row.trtexec for row in built):
        head += _CACHE
    lines = [f"{row.build_line} {(profiles or {}).get(row.key, '')}".rstrip() for row in built]
    return "\n".join([head, *lines, _TAIL])


def profile_options(profiles: Mapping[str, Profile]) -> str:
    """trtexec's options for the inputs of a file that leaves dimensions open, by name; "" where it leaves none."""
    if not profiles:
        return ""

    def shapes(which: str) -> str:
        sides = {name: "x".join(map(str, getattr(profile, which))) for name, profile in profiles.items()}
        return ",".join(f"{name}:{side}" for name, side in sides.items())

    return " ".join(f"--{which}Shapes={shapes(which)}" for which in ("min", "opt", "max"))
