<?php
class Kernel {}
