#!/bin/sh
# Runs the fuzz targets given for $SECONDS_EACH, each on a corpus that grows in $BUILD. What breaks one is kept, shown, and
# makes this fail.
set -u
failed=0
lua5.4 spec/fuzz/seeds.lua "$BUILD/corpus" || exit 1
for target; do
    log=$BUILD/$target.log
    mkdir -p "$BUILD/corpus/$target" "$BUILD/found"
    # What keeps a Lua state has much to look through for leaks: it is done once, at the end.
    leaks=1
    [ ! -e "spec/fuzz/$target.lua" ] || leaks=0
    if "$BUILD/bin/$target" -max_total_time="$SECONDS_EACH" -detect_leaks=$leaks -timeout=10 -rss_limit_mb=1024 -max_len=8192 \
        -artifact_prefix="$BUILD/found/$target-" -print_final_stats=1 "$BUILD/corpus/$target" >"$log" 2>&1; then
        echo "fuzz $target: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs, nothing found"
    else
        failed=1
        echo "fuzz $target: failed; try build/fuzz/bin/$target FILE with what is named here"
        tail -n 60 "$log"
    fi
done
exit $failed
