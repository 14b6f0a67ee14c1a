# The second terminal of the lab: commands on nodes, and the API's client.
_here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
_venv="${TENET_VENV:-$(dirname "$_here")/.venv}"
_lab="${TENET_LAB_DIR:-/run/tenet}"
export PATH="$_venv/bin:$PATH"
export OS_CLIENT_CONFIG_FILE="$_lab/state/clouds.yaml" OS_CLOUD=tenet
unset PROMPT_COMMAND
PS1='tenet-lab:\w# '

nodes() {  # the names of all nodes
    pgrep -af '^bash .*-is mininet:' | sed 's/.*mininet://' | sort
}

m() {  # m NODE COMMAND...: run a command on a node
    local pid
    pid="$(pgrep -xf "bash .*-is mininet:$1" | head -n 1)"
    if [ -z "$pid" ]; then
        echo "no node ${1:-given}; there are:" $(nodes) >&2
        return 1
    fi
    shift
    mnexec -a "$pid" "${@:-bash}"
}

_complete_m() {
    [ "$COMP_CWORD" -eq 1 ] && mapfile -t COMPREPLY < <(compgen -W "$(nodes)" -- "$2")
}
complete -o default -F _complete_m m

echo "nodes:     $(nodes | tr '\n' ' ')"
echo "a command: m hv1 ovs-vsctl show"
echo "the API:   openstack network list"
echo "the log:   less $_lab/controller.log"
