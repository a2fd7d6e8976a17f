#!/bin/sh
echo "nothing to ensure"
