# bash completion of keepstore(8)
_keepstore() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    case $before in
        -config | --config)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$(keepstore -help 2>&1 | sed -n 's/^ *\(-[a-z0-9-]*\).*/\1/p') probe-s3" -- "$word")
}
complete -F _keepstore keepstore
