"""Measurements that anyone can rerun: `./run bench [NAME...]`."""
