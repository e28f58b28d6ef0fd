#!/bin/sh
# Prints the Secrets of a deployment with stores beside the services, from the file that `archloop env FILE` makes:
#   sh deploy/k8s/secrets.sh FILE | kubectl apply --namespace archloop --filename -
# Through a pipe, so that no secret is in a command line, which others on this machine can read.
set -eu
. "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"

secret() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: %s\nstringData:\n' "$1"
  shift
  for pair in "$@"; do printf '  %s: "%s"\n' "${pair%%=*}" "${pair#*=}"; done
}

secret broker \
  "url=amqp://archloop:$ARCHLOOP_BROKER_PASSWORD@rabbitmq:5672/" \
  "management-url=http://archloop:$ARCHLOOP_BROKER_PASSWORD@rabbitmq.${NAMESPACE:-archloop}:15672/" \
  "password=$ARCHLOOP_BROKER_PASSWORD"
secret documents \
  "url=mongodb://archloop:$ARCHLOOP_MONGO_PASSWORD@mongo:27017/" \
  "password=$ARCHLOOP_MONGO_PASSWORD"
secret objects \
  "access-key=archloop" \
  "secret-key=$ARCHLOOP_S3_SECRET_KEY"
secret registry \
  "token=$ARCHLOOP_CLI_TOKEN" \
  "read-token=$ARCHLOOP_READ_TOKEN"
secret evaluator \
  "heldout-secret=$ARCHLOOP_HELDOUT_SECRET"
