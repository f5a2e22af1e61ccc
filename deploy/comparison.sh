#!/usr/bin/env bash
# The five models at Table 1's size on a machine that is lent for minutes. Call it until it ends with 0; 75 means: call again.
#
#   OUT=DIR [WHEELS=DIR] [MINUTES=9] [MODELS="x3d_s …"] [REHEARSE=1] deploy/comparison.sh
#
# Everything of value is in OUT after every call: results.tar, X3D-S's weights and the report. On a fresh machine put results.tar back
# into OUT first, and finished models are not trained again. REHEARSE=1: two epochs of 32 clips, to try the whole way on a CPU.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${OUT:?the folder of the results}"
minutes=${MINUTES:-9}
began=$SECONDS
work=runs/comparison${REHEARSE:+-rehearsal}
read -ra models <<<"${MODELS:-x3d_s resnet18_3d resnet18_2d resnet152_3d resnet152_2d}"
mkdir -p "$work" "$OUT"

python -c 'import pydicom, monai, pytorchvideo, ptflops, cv2, imagecodecs' 2>/dev/null ||
    python -m pip install --quiet --no-index --find-links "${WHEELS:-wheels}" pydicom pynetdicom monai pytorchvideo ptflops \
        opencv-python-headless imagecodecs sqlalchemy scikit-learn matplotlib safetensors pyyaml
[ ! -f "$OUT/results.tar" ] || for one in $(tar tf "$OUT/results.tar"); do tar xOf "$OUT/results.tar" "$one" | tar xz -C "$work"; done

# Small recipes from the real ones: what the minute of smoke trains, and what a rehearsal takes instead of them.
small=$work/small
mkdir -p "$small"
for model in "${models[@]}"; do
    case $model in *_2d) shape="frames: 4, size: 299" ;; *) shape="frames: 16, size: 160" ;; esac
    printf 'base: %s\nname: small-%s\ncohort: ""\npatients: 10\nunseen_patients: 3\nunsatisfactory: 0.5\nshares: [0.6, 0.2, 0.2]\nphases:\n  - {%s, epochs: 2, batch: 8}\nmicro_batch: 8\n' \
        "$PWD/config/training/$model.yaml" "${model//_/-}" "$shape" >"$small/$model.yaml"
done
workers=$(nproc)
python -m training comparison "$small/x3d_s.yaml" --seed 7 --out "$work/smoke" --workers "$workers"

if [ -n "${REHEARSE:-}" ]; then recipes=("${models[@]/#/$small/}"); else recipes=("${models[@]/#/config/training/}"); fi
left=$(awk -v m="$minutes" -v s="$((SECONDS - began))" 'BEGIN {print m - s / 60}')
status=0
python -m training comparison "${recipes[@]/%/.yaml}" --seed 1 --seeds 3 --many x3d_s,resnet18_3d --out "$work" \
    --minutes "$left" --workers "$workers" || status=$?

# Eight files at most, and none above 16 MiB.
[ ! -d "$work/packed" ] || (cd "$work/packed" && tar cf results.part -- *.tar.gz) && [ -f "$work/packed/results.part" ] &&
    mv "$work/packed/results.part" "$OUT/results.tar"
cp "$work"/packed/x3d-s-*.safetensors "$work"/report/report.html "$OUT" 2>/dev/null || true
exit "$status"
