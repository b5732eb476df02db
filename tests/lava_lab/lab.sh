#!/bin/bash
# SPDX-License-Identifier: MIT
# The first process of the lab; see start.sh.
set -euo pipefail
cd /lab
mkdir -p log
trap 'exit 0' TERM INT

manage() {
    su lavaserver -s /bin/sh -c "exec lava-server manage $*"
}

# start_database: run PostgreSQL on a socket, with its files in the lab's folder.
start_database() {
    local programs
    programs=$(echo /usr/lib/postgresql/*/bin)
    chown postgres:postgres /run/postgresql
    if [ ! -d db ]; then
        install -d -o postgres -g postgres -m 700 db
        su postgres -s /bin/sh -c "$programs/initdb -D /lab/db -A peer -E UTF8 --locale=C.UTF-8 --no-sync" >log/initdb.log
        is_new=yes
    fi
    su postgres -s /bin/sh -c "exec $programs/postgres -D /lab/db -k /run/postgresql -c listen_addresses= -c fsync=off -c jit=off" >log/postgres.log 2>&1 &
    until pg_isready -q -h /run/postgresql; do sleep 0.1; done
}

configure() {
    cat >/etc/lava-server/settings.d/00-lab.yaml <<'END'
DATABASES: {default: {ENGINE: "django.db.backends.postgresql", NAME: lavaserver, USER: lavaserver, HOST: /run/postgresql, PASSWORD: ""}}
SESSION_COOKIE_SECURE: false
CSRF_COOKIE_SECURE: false
HTTPS_XML_RPC: false
EVENT_NOTIFICATION: true
EVENT_SOCKET: "tcp://127.0.0.1:5500"
END
    mkdir -p /var/log/lava-server /var/log/lava-dispatcher
    touch /var/log/lava-server/django.log
    chown -R lavaserver: /var/log/lava-server
    install -m 755 /srv/lab/docker /usr/local/bin/docker
}

# fill_database: make the users, the worker and the board.
fill_database() {
    su postgres -s /bin/sh -c 'psql -q -h /run/postgresql' <<'END'
CREATE ROLE lavaserver LOGIN;
CREATE DATABASE lavaserver OWNER lavaserver ENCODING 'UTF-8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8' TEMPLATE template0;
END
    rm -rf /var/lib/lava-server/default/media/job-output
    manage migrate --noinput >log/migrate.log 2>&1
    manage users add --superuser --staff --passwd admin admin
    manage tokens add --user admin --secret lavalabtoken
    install_board
    manage workers add lab | sed -n 's/^Token: //p' >worker.token
    manage device-types add emulated-arm64
    manage devices add board01 --device-type emulated-arm64 --worker lab
    manage devices update board01 --health GOOD
    manage device-types add docker
    manage devices add slot01 --device-type docker --worker lab
    manage devices update slot01 --health GOOD
}

# install_board: make an emulated board, and the files that tell LAVA of it.
install_board() {
    local dispatcher=/etc/lava-server/dispatcher-config
    python3 /srv/product/examples/emulated-board/board.py create /lab/board --images /srv/images
    cp /srv/product/examples/lava-v2/emulated-arm64.jinja2 "$dispatcher/device-types/"
    sed "s/@SSH_PORT@/$(sed -n 's/^ssh_port = //p' board/config/devices/board01.conf)/" \
        /srv/product/examples/lava-v2/board01.jinja2 >"$dispatcher/devices/board01.jinja2"
    cp /srv/product/examples/lava-v2/slot01.jinja2 "$dispatcher/devices/"
    mkdir -p /etc/lava-server/dispatcher.d/lab
    cp /srv/product/examples/lava-v2/dispatcher.yaml /etc/lava-server/dispatcher.d/lab/
    chown -R lavaserver: "$dispatcher"
}

# start_board_services: run the console server and the power switch of the board.
start_board_services() {
    local board='python3 /srv/product/examples/emulated-board/board.py'
    cat >pdudaemon.conf <<END
{"daemon": {"hostname": "127.0.0.1", "port": 16421, "logging_level": "DEBUG", "listener": "http", "dbname": "/run/pdu.db"},
 "pdus": {"pdu": {"driver": "localcmdline", "cmd_on": "$board on /lab/board # %s", "cmd_off": "$board off /lab/board # %s"}}}
END
    cat >ser2net.yaml <<END
%YAML 1.1
---
connection: &board01
  accepter: telnet,tcp,127.0.0.1,7001
  connector: stdio,$board console /lab/board
  options: {kickolduser: true}
END
    # Its own script does not start with Python 3.14.
    python3 -c 'import asyncio, sys
asyncio.set_event_loop(asyncio.new_event_loop())
sys.argv = ["pdudaemon", "--conf", "/lab/pdudaemon.conf"]
import pdudaemon
pdudaemon.main()' >log/pdudaemon.log 2>&1 &
    ser2net -n -d -c /lab/ser2net.yaml >log/ser2net.log 2>&1 &
}

start_server() {
    local class
    class=$(sed -n 's/.*WORKER_CLASS=\([a-z]*\).*/\1/p' /lib/systemd/system/lava-server-gunicorn.service)
    su lavaserver -s /bin/sh -c "exec gunicorn3 lava_server.wsgi --log-file - --worker-class $class --workers 1 --bind 127.0.0.1:8000" >log/gunicorn.log 2>&1 &
    lava-server manage lava-publisher --level DEBUG --log-file /lab/log/publisher.log --host 127.0.0.1 --port 8001 >log/publisher.out 2>&1 &
    lava-server manage lava-scheduler --level DEBUG --log-file /lab/log/scheduler.log >log/scheduler.out 2>&1 &
    until curl -sf -o /dev/null "http://127.0.0.1:8000/api/v0.2/system/version/"; do sleep 0.2; done
}

# start_worker: run the worker, and the coordinator of MultiNode jobs.
start_worker() {
    lava-coordinator --logfile /lab/log/coordinator.log --loglevel DEBUG >log/coordinator.out 2>&1 &
    # It is activated by a socket, which is descriptor 3.  LAVA 2023.01 has none.
    [ ! -x /usr/bin/lava-dispatcher-host-server ] || python3 -c '
import os, socket
listener = socket.socket(socket.AF_UNIX)
listener.bind("/run/lava-dispatcher-host.sock")
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execvp("lava-dispatcher-host-server", ["lava-dispatcher-host-server"])' >log/host.log 2>&1 &
    lava-worker --level DEBUG --log-file /lab/log/worker.log --url "http://127.0.0.1:8000" \
        --ws-url "http://127.0.0.1:8001/ws/" --name lab --token-file /lab/worker.token \
        --ping-interval 2 --job-log-interval 1 >log/worker.out 2>&1 &
}

# publish_group: make the example a git repository, as jobs want it.
publish_group() {
    rm -rf /srv/group
    mkdir /srv/group
    cp /srv/product/examples/lava-v2/*.yaml /srv/product/examples/lava-v2/*.json \
        /srv/product/examples/lava-v2/*.conf /srv/group/
    git -C /srv/group init -q
    git -C /srv/group add -A
    git -C /srv/group -c user.name=lab -c user.email=lab@localhost commit -qm group
}

is_new=no
configure
start_database
[ "$is_new" = no ] || fill_database >log/setup.log 2>&1
start_board_services
publish_group >log/group.log 2>&1
start_server
start_worker
touch ready
while :; do
    wait -n || true
    sleep 0.2
done
