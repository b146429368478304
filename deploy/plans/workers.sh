#!/bin/sh
# Lets the workers of a queue rest, or work again: `rest` notes how many there were on the workload itself, so that `work` brings back as
# many wherever it runs, and takes the note away. Both are harmless twice.
set -eu
workers='deployment/checkout-worker'
noted='{.metadata.annotations.example\.com/replicas}'
wanted() { kubectl --namespace shop get "$workers" --output "jsonpath=$1"; }
case $1 in
rest)
  now=$(wanted '{.spec.replicas}')
  before=$(wanted "$noted")
  # Workers that rest already: by us, or by somebody who shall find them so.
  if [ "$now" != 0 ] || [ -z "$before" ]; then
    kubectl --namespace shop annotate --overwrite "$workers" "example.com/replicas=$now"
  fi
  kubectl --namespace shop scale "$workers" --replicas 0
  ;;
work)
  before=$(wanted "$noted")
  # Without a note they work already.
  [ -n "$before" ] || exit 0
  kubectl --namespace shop scale "$workers" --replicas "$before"
  kubectl --namespace shop annotate "$workers" example.com/replicas-
  ;;
*)
  echo "usage: $0 rest|work" >&2
  exit 64
  ;;
esac
