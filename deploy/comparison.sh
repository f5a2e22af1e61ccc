#!/usr/bin/env bash
# The five models at Table 1's size on a machine that is lent for minutes. Call it until it ends with 0; 75 means:
# call again, 2: something failed, read why before it is called again.
#
#   OUT=DIR [WHEELS=DIR] [MINUTES=9] [MODELS="x3d_s …"] [PYTHON=python3] [REHEARSE=1] deploy/comparison.sh
#
# Everything of value is in OUT after every call, and while it runs, should it be killed: results.tar, X3D-S's weights and the
# report. On a fresh machine put results.tar back into OUT first, and finished models are not trained again. A ResNet-152 begins
# best as the first work of a lease (MODELS), since its checkpoint is too large to leave the machine.
# REHEARSE=1: two epochs of 32 clips, to try the whole way on a CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${OUT:?the folder of the results}"
minutes=${MINUTES:-9}
python=${PYTHON:-python3}
began=$SECONDS
work=runs/comparison${REHEARSE:+-rehearsal}
read -ra models <<<"${MODELS:-x3d_s resnet18_3d resnet18_2d resnet152_3d resnet152_2d}"
mkdir -p "$work/packed" "$OUT"

# Nothing is resolved: pytorchvideo asks for av, which is large and not needed here. Wheels of the machine's own Python are wanted.
"$python" -c 'import training.__main__, monai, pytorchvideo.models.x3d, ptflops, imagecodecs' 2>/dev/null ||
    "$python" -m pip install --quiet --no-index --no-deps --find-links "${WHEELS:-wheels}" pydicom monai pytorchvideo fvcore iopath \
        parameterized yacs termcolor tabulate portalocker ptflops imagecodecs structlog pydantic pydantic-core annotated-types \
        typing-inspection opencv-python-headless scikit-learn matplotlib safetensors pyyaml
if [ -f "$OUT/results.tar" ]; then
    tar xf "$OUT/results.tar" -C "$work/packed"
    for one in "$work"/packed/*.tar.gz; do tar xzf "$one" -C "$work"; done
    for one in "$OUT"/x3d-s-*.safetensors; do [ ! -f "$one" ] || cp "$one" "$work/packed"; done
fi

# Small recipes from the real ones: what the minute of smoke trains, and what a rehearsal takes instead of them.
small=$work/small
mkdir -p "$small"
many=()
for model in "${models[@]}"; do
    case $model in *_2d) shape="frames: 4, size: 299" ;; *) shape="frames: 16, size: 160" ;; esac
    printf 'base: %s\nname: small-%s\ncohort: ""\npatients: 16\nunseen_patients: 4\nunsatisfactory: 0.5\nshares: [0.6, 0.2, 0.2]\nphases:\n  - {%s, epochs: 2, batch: 8}\nmicro_batch: 8\n' \
        "$PWD/config/training/$model.yaml" "${model//_/-}" "$shape" >"$small/$model.yaml"
    case $model in x3d_s | resnet18_3d) many+=("$model") ;; esac
    [ "$model" != x3d_s ] || printf 'base: %s\nname: small-shuffled\nshuffled: true\n' "$PWD/$small/x3d_s.yaml" >"$small/shuffled.yaml"
done
workers=$(nproc)
[ -f "$work/smoke/report/report.html" ] ||
    "$python" -m training comparison "$small/${models[0]}.yaml" --seed 7 --out "$work/smoke" --workers "$workers"

complexity=$work/complexity.json   # for Table 3; its speeds are asked of a machine at rest, and not here
if [ ! -f "$complexity" ]; then
    "$python" -m training complexity --format json >"$complexity.part"
    mv "$complexity.part" "$complexity"
fi

# Eight files at most, and none above 16 MiB. Each is renamed into place: a kill leaves whole ones.
place() { cp "$1" "$OUT/.$BASHPID" && mv "$OUT/.$BASHPID" "$OUT/${1##*/}"; }
hand_over() {
    local packed=("$work"/packed/*.tar.gz) one
    [ -f "${packed[0]}" ] || return 0
    tar cf "$work/$BASHPID.tar" -C "$work/packed" "${packed[@]##*/}" || return 1
    mv "$work/$BASHPID.tar" "$work/results.tar" || return 1
    for one in "$work/results.tar" "$work"/packed/x3d-s-*.safetensors "$work/report/report.html"; do
        [ ! -f "$one" ] || place "$one" || return 1
    done
}
# It ends with this script, also where that is killed.
while sleep 20 && kill -0 $$; do hand_over || true; done >/dev/null 2>&1 &
handing=$!
trap 'kill "$handing" 2>/dev/null || true' EXIT

if [ -n "${REHEARSE:-}" ]; then recipes=("${models[@]/#/$small/}"); else recipes=("${models[@]/#/config/training/}"); fi
# The check by labels in another order comes after the models, before their further seeds.
case " ${models[*]} " in *" x3d_s "*) recipes+=("$(dirname "${recipes[0]}")/shuffled") ;; esac
repeated=()
[ ${#many[@]} -eq 0 ] || repeated=(--seeds 3 --many "$(IFS=,; echo "${many[*]}")")
left=$(awk -v m="$minutes" -v s="$((SECONDS - began))" 'BEGIN {print m - s / 60}')
status=0
"$python" -m training comparison "${recipes[@]/%/.yaml}" --seed 1 "${repeated[@]}" --out "$work" \
    --sanity --complexity "$complexity" --minutes "$left" --workers "$workers" || status=$?
kill "$handing" 2>/dev/null && wait "$handing" 2>/dev/null || true
hand_over || { echo "$OUT: the results could not be handed over" >&2 && [ "$status" -ne 0 ] || status=1; }
exit "$status"
