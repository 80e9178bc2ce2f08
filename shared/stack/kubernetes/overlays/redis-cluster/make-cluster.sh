#!/bin/sh
# Makes one Redis Cluster of the nodes that its arguments name as host:port, with one replica for each primary. It may
# run again at any time: then it mends what is not as it should be. It ends with 0 when all slots are served and all
# replicas are in step. Each node must announce its present address (cluster-announce-ip). redis-cli takes a password
# from REDISCLI_AUTH. docker-compose.yml and the Kubernetes overlay redis-cluster run it.
set -u

tries=${TRIES:-30}

# node HOST:PORT COMMAND... A hung node costs 2 s.
node() {
  at=$1
  shift
  timeout 2 redis-cli -h "${at%:*}" -p "${at##*:}" "$@"
}

# What a node says of itself in CLUSTER NODES: its address and, for a primary without slots, the word "empty".
self() {
  node "$1" cluster nodes | awk '$3 ~ /myself/ { sub(/@.*/, "", $2); print $2, $3 ~ /master/ && NF < 9 ? "empty" : "" }'
}

# The id of the primary that has the fewest replicas, as this node sees it.
neediest_primary() {
  node "$1" cluster nodes | awk '
    $3 ~ /fail|handshake|noaddr/ { next }
    $3 ~ /slave/ { replicas[$4]++ }
    $3 ~ /master/ && NF > 8 { primaries[$1] }
    END { for (id in primaries) print replicas[id] + 0, id }' | sort -n | sed -n '1s/.* //p'
}

# The id of the primary, if this replica asks for its data at an address that the primary no longer has.
lost_primary() {
  { node "$1" info replication && node "$1" cluster nodes; } | tr -d '\r' | awk '
    sub(/^master_host:/, "") { host = $0 }
    $3 ~ /myself/ { primary = $4 }
    { address[$1] = $2 }
    END { if (host && index(address[primary], host ":") != 1) print primary }'
}

mend() {
  addresses='' member='' missing=''
  for name in "$@"; do
    self=$(self "$name")
    [ -n "$self" ] || missing="$missing $name"
    addresses="$addresses ${self% *}"
    [ "$(node "$name" cluster nodes | wc -l)" -lt 2 ] || member=$name
  done

  if [ -z "$member" ]; then
    # No node knows another one. A cluster is made only of all nodes.
    [ -z "$missing" ] || return
    for name in "$@"; do
      # An earlier run that was interrupted may have left slots, and a node with slots may have counted.
      node "$name" flushall >/dev/null
      node "$name" cluster reset hard >/dev/null
    done
    # shellcheck disable=SC2086 # one word per address
    timeout 60 redis-cli --cluster create $addresses --cluster-replicas 1 --cluster-yes
    return
  fi

  # Nodes know each other by address. When all have got new ones at the same time, none finds another one. MEET tells
  # the address of a known node, and makes a new node known. It also breaks connections of nodes that know each other.
  known=$(node "$member" cluster nodes)
  for address in $addresses; do
    case $known in
    *" $address@"*) ;;
    *) node "$member" cluster meet "${address%:*}" "${address##*:}" >/dev/null ;;
    esac
  done
  for name in "$@"; do
    # Redis 7 does not follow its primary when it learns the new address from a third node.
    primary=$(lost_primary "$name")
    case $(self "$name") in
    # A node that has lost its nodes.conf is a new one.
    *empty) primary=$(neediest_primary "$member") ;;
    esac
    [ -n "$primary" ] || continue
    node "$name" cluster replicate "$primary" >/dev/null
    # One at a time: the next try sees the replicas of this one.
    return
  done
}

is_whole() {
  for name in "$@"; do
    # Without full coverage, cluster_state is ok although slots are missing. A node can know all slots and not serve yet.
    info=$(node "$name" cluster info)
    case $info in *cluster_state:ok*) ;; *) return 1 ;; esac
    case $info in *cluster_slots_ok:16384*) ;; *) return 1 ;; esac
    # A replica that has never been in step with its primary cannot take its place.
    ! node "$name" info replication | grep -q '^master_link_status:down' || return 1
    case $(self "$name") in *empty) return 1 ;; esac
  done
}

until
  mend "$@"
  is_whole "$@"
do
  tries=$((tries - 1))
  if [ "$tries" -eq 0 ]; then
    echo "The cluster is not whole. No answer from:${missing:- none of them}." >&2
    node "${member:-$1}" cluster nodes >&2
    exit 1
  fi
  sleep 1
done
echo "The cluster is whole: $# nodes."
