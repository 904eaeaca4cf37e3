# deploy/quickstart --oscar: the sandbox shop beside the worker. Sourced by deploy/quickstart, whose functions start
# and stop the processes; what a visitor and staff see is read by shop_visit.py, over HTTP like a browser.

install_shop() {
    "$deploy/install-packages" shop
    local status=0
    shop_venv=${QUICKSTART_BUILD:+$(realpath "$QUICKSTART_BUILD")/oscar-venv}
    shop_venv=${shop_venv:-$root/build/quickstart-oscar}
    step "django-oscar from PyPI (a minute, once)"
    run_child "$deploy/oscar/make-venv" "$shop_venv" sandbox >"$dir/venv.log" 2>&1 || status=$?
    [ $status != 77 ] || fail "PyPI cannot be reached, and the shop's django-oscar comes from there; \
without --oscar the quickstart needs only Debian's packages"
    [ $status = 0 ] || fail "the shop's environment could not be made: $(tail -n 5 "$dir/venv.log")"
    ok
    export PYTHONDONTWRITEBYTECODE=1 PYTHONWARNINGS=ignore
}

manage() { run_child "${manage[@]}" "$@" >"$dir/manage.log" 2>&1 || fail "$1: $(tail -n 5 "$dir/manage.log")"; }

# Before the LMS is started, which is to know the shop's courses.
fill_shop() {
    manage=(env -u SHOP_PG_HOST -u SHOP_AMQP_PREFIX -u SHOP_DEBUG DJANGO_SETTINGS_MODULE=shop.settings
        PYTHONPATH="$deploy/oscar" SHOP_DATA_DIR="$dir/shop" SHOP_AMQP_URLS="$amqp_uri" "$shop_venv/bin/python" -u "$deploy/oscar/sandbox/manage.py")
    step "the shop's tables, courses and users"
    manage migrate --verbosity 0
    manage make_shop
    ok
    manage make_shop --lms-seed
    cp "$dir/manage.log" "$dir/lms_seed.json"
    lms_arguments=(--seed "$dir/lms_seed.json")
}

# After fulfilld, which declares the queues.
start_shop() {
    step "Oscar shop on $shop_port, relay, consumer"
    start_process shop "${manage[@]}" runserver --noreload "127.0.0.1:$shop_port"
    start_process relay "${manage[@]}" fulfillment_relay
    start_process events "${manage[@]}" fulfillment_events
    wait_for shop is_listening "$shop_port"
    ok
}

visit() {
    run_child /usr/bin/python3 "$deploy/quickstart.d/shop_visit.py" --shop "http://127.0.0.1:$shop_port" \
        --lms "$lms_url" "$@"
}

# Two orders: one on a good day, one while the LMS is away.
run_shop_story() {
    printf '\nA learner buys a course in the shop:\n'
    visit buy DEMOX-VERIFIED --number-file "$dir/first"
    visit until-complete "$(cat "$dir/first")"
    visit enrolled

    printf '\nThe LMS is stopped, and the learner buys another one:\n'
    # The stand-in remembers nothing by itself: what it knows goes into the seed it starts with again.
    visit remember "$dir/lms_seed.json"
    stop_process lms
    visit buy DATAX-PRO --number-file "$dir/second"
    visit until-waiting "$(cat "$dir/second")"
    printf '  fulfilld order %s:\n' "$(cat "$dir/second")"
    run_child "$fulfilld" order "$(cat "$dir/second")" --config "$dir/fulfilld.ini" >"$dir/order.txt"
    sed '/^$/d; s/^/    /' "$dir/order.txt"

    printf '\nThe LMS is started again:\n'
    start_process lms "${lms_command[@]}"
    wait_for lms is_listening "$lms_port"
    visit until-complete "$(cat "$dir/second")"
    visit enrolled
}

say_where_shop() {
    if [ "$keep" = no ]; then
        printf '\nTo click through it yourself, run it again with --keep.\n'
        return
    fi
    cat <<EOF

Left running in $dir:
  the shop      http://127.0.0.1:$shop_port/ (log in as honor@example.com, password honor-pass-1)
  for staff     http://127.0.0.1:$shop_port/dashboard/fulfillment/ (admin@example.com, password admin-pass-1)
  a link        http://127.0.0.1:$shop_port/fulfillment/basket/add/?sku=DEMOX-HONOR
  stand-in LMS  $lms_url/_lms/state shows who is enrolled
                curl -d '{"status": 503}' $lms_url/_lms/outage takes it away
                curl -d '{"off": true}' $lms_url/_lms/outage brings it back
  RabbitMQ      http://127.0.0.1:$management_port/ (log in as guest, password guest)
  fulfilld      $fulfilld order $(cat "$dir/second") --config $dir/fulfilld.ini
  their logs    shop.log, relay.log, events.log and fulfilld.log there
Stop all of it with:
  $deploy/quickstart --stop $dir
EOF
}
